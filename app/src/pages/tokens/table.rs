//! The table of tokens, with its pagination.

use domain::{access::TokenReach, ids::TokenId, token_query::TokenSort};
use leptos::prelude::*;

use super::{paths::Paths, place::Place, row::TokenRow, toolbar};
use crate::{
    components::icon::{Glyph, Icon},
    fns::tokens_list::TokenList,
};

/// One page of tokens. Below 640 px, CSS turns its rows into cards.
#[component]
pub fn TokenTable(
    /// The loaded list.
    list: TokenList,
    /// The reader's place in the list.
    place: Place,
    /// The workspace's paths.
    paths: Paths,
    /// The token that was just created. Its row is marked.
    created: Signal<Option<TokenId>>,
    /// Whether other rows are loading.
    pending: RwSignal<bool>,
) -> impl IntoView {
    let now = list.now;
    let reach = list.overview.reach;
    let caption = format!(
        "{} {}: {}",
        if reach == TokenReach::Own { "Your API tokens in" } else { "API tokens of" },
        list.overview.workspace.name,
        toolbar::order(place.sort).to_lowercase()
    );
    let info = page_info(&list, &place);
    let next = list.page.next.clone();
    let may_write = reach.manages();
    let heading = |label: &'static str, sort: TokenSort| {
        let (order, glyph) = match (place.sort, sort) {
            (TokenSort::Newest, TokenSort::Newest) => (Some("descending"), Glyph::Down),
            (TokenSort::Oldest, TokenSort::Newest) => (Some("ascending"), Glyph::Down),
            (is, of) if is == of => (Some("ascending"), Glyph::Down),
            _ => (None, Glyph::UpDown),
        };
        let sort = match (place.sort, sort) {
            (TokenSort::Newest, TokenSort::Newest) => TokenSort::Oldest,
            (_, sort) => sort,
        };
        let href = paths.list(&Place { sort, ..place.from_start() });
        view! {
            <th scope="col" aria-sort=order>
                <a class="sort" href=href data-noscroll>{label}<Icon glyph=glyph/></a>
            </th>
        }
    };
    let head = view! {
        <tr>
            {heading("Name", TokenSort::Name)}
            <th scope="col">"Status"</th>
            <th scope="col">"Hint"</th>
            <th scope="col">"Scopes"</th>
            <th scope="col">"Owner"</th>
            {heading("Created", TokenSort::Newest)}
            {heading("Expires", TokenSort::Expires)}
            <th scope="col">"Last used"</th>
            <th scope="col"><span class="visually-hidden">"Actions"</span></th>
        </tr>
    };
    let rows = list
        .page
        .items
        .into_iter()
        .map(|token| {
            view! { <TokenRow token now paths=paths.clone() place=place.clone() created may_write/> }
        })
        .collect_view();
    view! {
        <div class="table-wrap" aria-busy=move || pending.get().then_some("true")>
            <table class="table tokens-table">
                <caption class="visually-hidden">{caption}</caption>
                <thead>{head}</thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <Pager info next place paths/>
    }
}

#[component]
fn Pager(info: String, next: Option<String>, place: Place, paths: Paths) -> impl IntoView {
    if place.cursor.is_none() && next.is_none() {
        return None;
    }
    let first = place.cursor.is_some().then(|| {
        let href = paths.list(&place.from_start());
        view! {
            <a class="button button-small" href=href rel="first">
                <Icon glyph=Glyph::Back/><span>"First page"</span>
            </a>
        }
    });
    let next = next.map(|cursor| {
        let href = paths.list(&Place { cursor: Some(cursor), ..place.from_start() });
        view! {
            <a class="button button-small" href=href rel="next">
                <span>"Next page"</span><Icon glyph=Glyph::Chevron/>
            </a>
        }
    });
    Some(view! {
        <nav class="pager" aria-label="Pages">
            <span class="pager-info">{info}</span>
            <span class="pager-links">{first}{next}</span>
        </nav>
    })
}

/// Returns "1–25 of 37" if the position is known, and the number of rows on this page otherwise.
fn page_info(list: &TokenList, place: &Place) -> String {
    let rows = list.page.items.len();
    if place.cursor.is_none() && !place.is_filtered() {
        return format!("1–{rows} of {}", list.overview.counts.total);
    }
    match rows {
        1 => "1 on this page".to_owned(),
        rows => format!("{rows} on this page"),
    }
}
