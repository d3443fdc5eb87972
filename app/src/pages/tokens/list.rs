//! Settings → API Tokens: the list, and the outlet for the panels over it.

use domain::{access::TokenReach, ids::TokenId, workspace::Quota};
use leptos::{either::Either, html, prelude::*, wasm_bindgen::JsCast, web_sys::HtmlElement};
use leptos_meta::Title;
use leptos_router::{components::Outlet, hooks::use_location};

use super::{
    empty::{NoMatch, NoTokens},
    paths::Paths,
    place::Place,
    table::TokenTable,
    toolbar::Toolbar,
};
use crate::{
    components::{
        icon::{Glyph, Icon},
        loaded::Loading,
        panel::is_first_page,
        problem::ProblemPage,
    },
    fns::tokens_list::{TokenList, tokens_list},
    pages::workspaces::show::use_workspace_slug,
    problem::ConsoleError,
};

/// The version of the list, which panels increase after changing tokens: a context of the panels
/// over the list.
#[derive(Clone, Copy, Debug)]
pub struct ListVersion(RwSignal<u32>);

impl ListVersion {
    /// Reloads the list.
    pub fn bump(self) {
        self.0.update(|version| *version += 1);
    }
}

/// Returns the version of the list below this panel.
pub(super) fn use_list_version() -> ListVersion {
    use_context::<ListVersion>().unwrap_or_else(|| ListVersion(RwSignal::new(0)))
}

/// The list's resource.
type List = Resource<Result<TokenList, ConsoleError>>;

/// The list of a workspace's tokens.
#[component]
pub fn TokensPage() -> impl IntoView {
    let workspace = use_workspace_slug();
    let search = use_location().search;
    let place = Memo::new(move |_| search.with(|search| Place::read(search)));
    // The query leaves out the marked row, so that marking one does not reload the list.
    let query = Memo::new(move |_| place.with(Place::to_query));
    let version = RwSignal::new(0);
    provide_context(ListVersion(version));
    let list = Resource::new(
        move || (workspace.get(), query.get(), version.get()),
        |(workspace, query, _)| tokens_list(workspace, query),
    );
    let pending = RwSignal::new(false);
    view! {
        <Title text="API Tokens"/>
        <div class="behind-panel">
            <Transition fallback=|| view! { <Loading/> } set_pending=pending.write_only()>
                <Body list workspace place pending/>
            </Transition>
        </div>
        <Outlet/>
    }
}

/// Everything that depends on the loaded list. It is a separate component, so that the surrounding
/// transition notices that the resource is read.
#[component]
fn Body(
    list: List,
    workspace: Memo<String>,
    place: Memo<Place>,
    pending: RwSignal<bool>,
) -> impl IntoView {
    let problem = Memo::new(move |_| match list.get() {
        Some(Err(error)) => Some(error),
        _ => None,
    });
    let shown = Memo::new(move |_| list.get().and_then(Result::ok));
    let counts = Memo::new(move |_| {
        shown.with(|shown| shown.as_ref().map(|shown| shown.overview.counts)).unwrap_or_default()
    });
    let quota = Memo::new(move |_| {
        shown.with(|shown| shown.as_ref().and_then(|shown| shown.overview.quota))
    });
    let reach = Memo::new(move |_| {
        shown.with(|shown| shown.as_ref().map(|shown| shown.overview.reach)).unwrap_or_default()
    });
    let name = Memo::new(move |_| {
        shown
            .with(|shown| shown.as_ref().map(|shown| shown.overview.workspace.name.to_string()))
            .unwrap_or_default()
    });
    let paths = Memo::new(move |_| workspace.with(|workspace| Paths::new(workspace)));
    let has_tokens = Memo::new(move |_| counts.get().total > 0 || place.with(Place::is_filtered));
    let ready = Memo::new(move |_| shown.with(Option::is_some));
    move || {
        match problem.get() {
        Some(error) => Either::Left(view! { <ProblemPage problem=error.0/> }),
        None => Either::Right(ready.get().then(|| {
            view! {
                <Head name reach paths place/>
                <NearLimit quota reach/>
                <Created shown place paths/>
                {move || {
                    if has_tokens.get() {
                        Either::Left(view! {
                            <Toolbar place paths counts>
                                {move || shown.with(|shown| count_text(shown.as_ref(), &place.get()))}
                            </Toolbar>
                            <Rows shown place paths pending/>
                        })
                    } else {
                        Either::Right(view! { <NoTokens paths reach/> })
                    }
                }}
            }
        })),
    }
    }
}

/// The heading and Add Token. The document's title is set outside of the transition, before a
/// panel's title, because the panel's must win.
#[component]
fn Head(
    name: Memo<String>,
    reach: Memo<TokenReach>,
    paths: Memo<Paths>,
    place: Memo<Place>,
) -> impl IntoView {
    let heading = NodeRef::<html::H1>::new();
    let focus = move || {
        // The heading is created before it is inserted into the page.
        request_animation_frame(move || {
            if let Some(heading) = heading.get_untracked() {
                let _ = heading.focus();
            }
        });
    };
    let first_page = is_first_page();
    Effect::new(move |before: Option<Option<String>>| {
        let cursor = place.with(|place| place.cursor.clone());
        // The visitor came from another page of the console, or opened another page of the list.
        // While they type or choose in the toolbar, the focus stays there.
        let come = before.is_none() && !first_page;
        let turned = before.is_some_and(|before| before != cursor);
        if come || (turned && !is_typing()) {
            focus();
        }
        cursor
    });
    // The words depend on whether the visitor reaches only their own tokens or the whole
    // workspace's, and on whether they may change them.
    let words = move || match reach.get() {
        TokenReach::Own => (
            "Your API tokens",
            "Your tokens in ",
            ". Each token acts as you, within its scopes. You don't see anyone else's tokens.",
        ),
        TokenReach::Read => (
            "API Tokens",
            "Tokens of ",
            ". You can view them; administrators of the workspace manage them.",
        ),
        _ => ("API Tokens", "Tokens of ", ". Each token acts as its owner, within its scopes."),
    };
    view! {
        <div class="page-head">
            <div class="page-title">
                <h1 tabindex="-1" node_ref=heading>{move || words().0}</h1>
                <p class="page-lead">
                    {move || words().1}<strong><bdi>{move || name.get()}</bdi></strong>
                    {move || words().2}
                </p>
            </div>
            {move || reach.get().manages().then(|| view! {
                <div class="page-actions">
                    <a class="button button-primary" id="add-token"
                        href=move || paths.with(|paths| paths.new_token(&place.get()))>
                        <Icon glyph=Glyph::Plus/>
                        <span>"Add Token"</span>
                    </a>
                </div>
            })}
        </div>
    }
}

/// Returns whether the focus is on a control of the toolbar.
fn is_typing() -> bool {
    let element = document().active_element();
    element.is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "SELECT"))
}

/// A warning for visitors who may create tokens, shown from nine tenths of the nearer limit on.
#[component]
fn NearLimit(quota: Memo<Option<Quota>>, reach: Memo<TokenReach>) -> impl IntoView {
    move || {
        quota.get().filter(|_| reach.get().manages()).and_then(quota_warning).map(|text| {
            view! {
                <div class="notice notice-warning" role="note">
                    <Icon glyph=Glyph::Warning/>
                    <p>{text}</p>
                </div>
            }
        })
    }
}

/// The message that a token was created, shown while its row is marked.
#[component]
fn Created(
    shown: Memo<Option<TokenList>>,
    place: Memo<Place>,
    paths: Memo<Paths>,
) -> impl IntoView {
    let first_page = is_first_page();
    let marked = Memo::new(move |_| {
        let id = place.with(|place| place.created)?;
        shown.with(|shown| {
            let items = &shown.as_ref()?.page.items;
            items.iter().find(|token| token.id == id).map(|token| (id, token.name.clone()))
        })
    });
    // After a token was created in a dialog, the focus moves to its row.
    Effect::new(move |before: Option<bool>| {
        if let Some((id, _)) = marked.get()
            && (before.is_some() || !first_page)
        {
            focus_row(id);
        }
        true
    });
    move || {
        let (_, name) = marked.get()?;
        let dismiss =
            paths.with(|paths| paths.list(&Place { created: None, ..place.get_untracked() }));
        Some(view! {
            <div class="flash flash-success" role="status">
                <Icon glyph=Glyph::Active/>
                <p><strong><bdi>{name}</bdi></strong>" was created."</p>
                <a class="icon-button flash-close" href=dismiss aria-label="Dismiss" data-noscroll>
                    <Icon glyph=Glyph::Close/>
                </a>
            </div>
        })
    }
}

/// Focuses a row's View button, after the dialog over the list is gone.
fn focus_row(id: TokenId) {
    let focus = move || {
        let row = document().get_element_by_id(&format!("view-{id}"));
        if let Some(button) = row.and_then(|row| row.dyn_into::<HtmlElement>().ok()) {
            let _ = button.focus();
        }
    };
    set_timeout(focus, std::time::Duration::from_millis(60));
}

/// The table with its pagination, or the message that no token matches.
#[component]
fn Rows(
    shown: Memo<Option<TokenList>>,
    place: Memo<Place>,
    paths: Memo<Paths>,
    pending: RwSignal<bool>,
) -> impl IntoView {
    let created = Signal::derive(move || place.with(|place| place.created));
    move || {
        let list = shown.get()?;
        let (place, paths) = (place.get_untracked(), paths.get_untracked());
        Some(if list.page.items.is_empty() {
            Either::Left(view! { <NoMatch place paths/> })
        } else {
            Either::Right(view! { <TokenTable list place paths created pending/> })
        })
    }
}

/// Returns the text beside the search: the number of matches, and the quota.
fn count_text(list: Option<&TokenList>, place: &Place) -> String {
    let Some(list) = list else { return String::new() };
    let quota = quota_text(list.overview.counts.total, list.overview.quota);
    if !place.is_filtered() || place.cursor.is_some() {
        return quota;
    }
    let found = list.page.items.len();
    let matches = match (found, list.page.next.is_some()) {
        (_, true) => format!("More than {found} matches"),
        (1, false) => "1 match".to_owned(),
        (_, false) => format!("{found} matches"),
    };
    let unused = if place.never_used { ", never used" } else { "" };
    format!("{matches}{unused} · {quota}")
}

/// Returns "37 tokens", or "37 of 200 tokens" if there is a limit. If the limit counts the tokens
/// of all workspaces, the workspace's own tokens are stated separately.
fn quota_text(total: i64, quota: Option<Quota>) -> String {
    match (total, quota) {
        (_, Some(Quota { used, limit })) if used == total => format!("{total} of {limit} tokens"),
        (_, Some(Quota { used, limit })) => {
            format!("{total} tokens, {used} of {limit} in all workspaces")
        }
        (1, None) => "1 token".to_owned(),
        (_, None) => format!("{total} tokens"),
    }
}

fn quota_warning(Quota { used, limit }: Quota) -> Option<String> {
    if used >= limit {
        return Some(format!(
            "The token limit of {limit} is reached. Delete unused tokens or ask an administrator to \
             raise it."
        ));
    }
    (used * 10 >= limit * 9).then(|| format!("Close to the token limit: {used} of {limit} tokens."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_shown_if_there_is_a_limit() {
        assert_eq!(quota_text(37, Some(Quota { used: 37, limit: 200 })), "37 of 200 tokens");
        assert_eq!(
            quota_text(37, Some(Quota { used: 90, limit: 200 })),
            "37 tokens, 90 of 200 in all workspaces"
        );
        assert_eq!(quota_text(37, None), "37 tokens");
        assert_eq!(quota_text(1, None), "1 token");
    }

    #[test]
    fn quota_warns_from_nine_tenths_of_the_limit() {
        let warning = |used| quota_warning(Quota { used, limit: 200 });
        assert_eq!(warning(179), None);
        assert!(warning(180).is_some());
        assert!(warning(200).is_some_and(|text| text.starts_with("The token limit of 200")));
    }
}
