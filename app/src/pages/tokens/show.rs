//! The panel of one token: its properties, its permissions, and its use.

use domain::{
    catalogue::Catalogue,
    token::{Standing, Stop, Token},
};
use leptos::{either::Either, prelude::*};
use time::OffsetDateTime;

use super::{
    actions::PanelActions,
    one::{one_token, ways},
    place::Place,
    status::TokenStatus,
};
use crate::{
    components::{
        moment::{MaybeMoment, Moment},
        panel::Panel,
    },
    fns::tokens_show::TokenDetail,
    forms::scope_tree::ScopeList,
};

/// The panel of one token.
#[component]
pub fn TokenViewPage() -> impl IntoView {
    one_token(false, |detail, place| view! { <Detail detail place/> }.into_any())
}

#[component]
fn Detail(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let TokenDetail { now, token, catalogues, may_write, .. } = detail;
    let actions = may_write.then(|| view! { <PanelActions token=token.clone() paths place/> });
    let description = token.description.to_string();
    let lead = if description.is_empty() { "No description".to_owned() } else { description };
    let lead = view! { <bdi class="multiline">{lead}</bdi> }.into_any();
    view! {
        <Panel title=token.name.clone() close_href=list.clone() lead size="panel-wide">
            <div class="panel-body view-token">
                <Facts token=token.clone() catalogues=catalogues.clone() now/>
                <ScopeList token catalogues/>
            </div>
            <footer class="panel-foot form-actions">
                <a class="button" href=list>"Close"</a>
                {actions}
            </footer>
        </Panel>
    }
}

#[component]
fn Facts(token: Token, catalogues: Vec<Catalogue>, now: OffsetDateTime) -> impl IntoView {
    let creator = token
        .created_by
        .as_ref()
        .map_or_else(|| "command line".to_owned(), |user| user.name.clone());
    let apis = token
        .audiences
        .iter()
        .map(|audience| {
            let name = catalogues.iter().find(|catalogue| catalogue.audience == *audience);
            let name = name.map(|catalogue| format!("{} ", catalogue.name));
            view! { <span class="api">{name}<code>{audience.to_string()}</code></span>" " }
        })
        .collect_view();
    let addresses = if token.ip_allow.is_empty() {
        Either::Left("Any address")
    } else {
        Either::Right(
            token
                .ip_allow
                .iter()
                .map(|range| view! { <code>{range.to_string()}</code>" " })
                .collect_view(),
        )
    };
    let rate = token.rate_limit.map(|limit| {
        let text = format!("{} uses per {} s", limit.limit(), limit.window_s());
        view! { <div><dt>"Rate limit"</dt><dd>{text}</dd></div> }
    });
    let start = token.not_before.map(|at| {
        view! { <div><dt>"Valid from"</dt><dd><Moment at now/></dd></div> }
    });
    let older = token.grace_until.map(|until| {
        let hint = token.older_hint.clone().unwrap_or_default();
        view! {
            <div>
                <dt>"Old secret"</dt>
                <dd><code class="hint">{hint}</code>" works until "<Moment at=until now/></dd>
            </div>
        }
    });
    let parent = token.parent.map(|parent| {
        view! { <div><dt>"Created with token"</dt><dd><code>{parent.to_string()}</code></dd></div> }
    });
    let disabled = token.disabled_by.as_ref().map(|stop| {
        view! { <div><dt>"Disabled by"</dt><dd><bdi>{stopped_by(stop)}</bdi></dd></div> }
    });
    let ended = token.ended_by.as_ref().map(|stop| {
        view! { <div><dt>"Expiry set by"</dt><dd><bdi>{stopped_by(stop)}</bdi></dd></div> }
    });
    let rotated = token.rotated_at.map(|at| {
        view! { <div><dt>"Rotated"</dt><dd><Moment at now/></dd></div> }
    });
    let reused = token.reused_at.map(|at| {
        view! {
            <div>
                <dt>"Secret reuse"</dt>
                <dd class="alarm">"A replaced secret was sent "<Moment at now/></dd>
            </div>
        }
    });
    let tags = (!token.tags.is_empty()).then(|| {
        let tags = token
            .tags
            .iter()
            .map(|(name, value)| view! { <code>{format!("{name}={value}")}</code>" " })
            .collect_view();
        view! { <div><dt>"Tags"</dt><dd>{tags}</dd></div> }
    });
    view! {
        <dl class="facts facts-grid">
            <div><dt>"Status"</dt><dd><TokenStatus token=token.clone() now/></dd></div>
            <div><dt>"Hint"</dt><dd><code class="hint">{token.hint.clone()}</code></dd></div>
            <div>
                <dt>"Acts as"</dt>
                <dd><bdi>{token.user.name.clone()}</bdi>" "<span class="muted">{token.user.email.clone()}</span></dd>
            </div>
            <div>
                <dt>"Created"</dt>
                <dd><Moment at=token.created_at now/>" by "<bdi>{creator}</bdi></dd>
            </div>
            {parent}
            {disabled}
            {start}
            <div><dt>"Expires"</dt><dd><MaybeMoment at=token.expires_at now/></dd></div>
            {ended}
            <div><dt>"Last used"</dt><dd>{last_used(&token, now)}</dd></div>
            {rotated}
            {older}
            {reused}
            <div><dt>"APIs"</dt><dd>{apis}</dd></div>
            <div><dt>"Allowed addresses"</dt><dd>{addresses}</dd></div>
            {rate}
            {tags}
            <div><dt>"ID"</dt><dd><code>{token.id.to_string()}</code></dd></div>
        </dl>
    }
}

/// Names the user or the policy that stopped a token.
fn stopped_by(stop: &Stop) -> String {
    let name = stop.user.as_ref().map(|user| user.name.clone());
    match stop.standing {
        Standing::Administrator => {
            format!("{}, as an administrator", name.unwrap_or_else(|| "command line".to_owned()))
        }
        Standing::Owner => name.unwrap_or_else(|| "its owner".to_owned()),
        Standing::Policy => "policy".to_owned(),
    }
}

/// Returns when and from where the token was last used.
pub(super) fn last_used(token: &Token, now: OffsetDateTime) -> impl IntoView + use<> {
    let from = token.last_used_ip.map(|ip| view! { " from "<code>{ip.to_string()}</code> });
    view! { <MaybeMoment at=token.last_used_at now/>{from} }
}
