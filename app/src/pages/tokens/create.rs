//! Add Token: the panel with the form, and the panel that shows the new token.

use domain::problem::ProblemCode;
use leptos::{
    either::{Either, EitherOf3},
    html,
    prelude::*,
};
use leptos_router::hooks::use_location;

use super::{
    draft::{Draft, Source},
    form::CreateForm,
    list::use_list_version,
    paths::Paths,
    place::{Place, pairs},
    problem::ProblemPanel,
};
use crate::{
    components::{
        icon::{Glyph, Icon},
        live::use_announcer,
        panel::Panel,
        reveal::Reveal,
    },
    fns::tokens_form::{TokenForm, tokens_form},
    forms::FormState,
    pages::workspaces::show::use_workspace_slug,
    posted::{Minted, Outcome, use_posted},
};

/// The Add Token panel.
#[component]
pub fn TokenCreatePage() -> impl IntoView {
    let workspace = use_workspace_slug();
    let search = use_location().search;
    if let Some(minted) = use_posted().and_then(|posted| posted.minted.clone()) {
        return Either::Left(view! { <Created minted/> });
    }
    let form = Resource::new(move || workspace.get(), tokens_form);
    Either::Right(view! {
        <Suspense>
            {move || Suspend::new(async move {
                let form = form.await;
                let (workspace, search) = (workspace.get_untracked(), search.get_untracked());
                match form {
                    Ok(form) => Either::Left(view! { <Create form workspace search/> }),
                    Err(error) => Either::Right(view! { <ProblemPanel error/> }),
                }
            })}
        </Suspense>
    })
}

/// The response to a post that created a token: a page that is never hydrated.
#[component]
fn Created(minted: Minted) -> impl IntoView {
    let workspace = minted.token.workspace.to_string();
    let done = done_path(&workspace, &minted);
    let lead = lead(&minted).into_any();
    view! {
        <Panel title="Token created" close_href=done.clone() lead size="panel-wide">
            <Reveal minted done_href=done kept=RwSignal::new(true)
                may_leave=Callback::new(|()| true)/>
        </Panel>
    }
}

/// The panel with the form. After the token is created, it shows the token instead.
#[component]
fn Create(form: TokenForm, workspace: String, search: String) -> impl IntoView {
    let place = Place::read(&search);
    let paths = Paths::new(&workspace);
    let list = paths.list(&place);
    let action = paths.create();
    let draft = first_draft(&form, &action, &search);
    let state = FormState::new(&action);
    let already = Memo::new(move |_| {
        state.problem().is_some_and(|problem| problem.code == ProblemCode::AlreadyCreated)
    });
    let minted = RwSignal::new(None::<Minted>);
    let typed = RwSignal::new(false);
    let kept = RwSignal::new(false);
    let version = use_list_version();
    let announcer = use_announcer();
    let may_close = Callback::new(move |()| {
        if already.get_untracked() {
            true
        } else if minted.with_untracked(Option::is_some) {
            kept.get_untracked()
                || confirm("You won't be able to see this token again. Leave without copying it?")
        } else {
            !typed.get_untracked() || confirm("Discard what you entered?")
        }
    });
    let on_done = Callback::new(move |outcome| match outcome {
        Outcome::Minted(new) => {
            announcer.say("Token created. Copy it now.");
            minted.set(Some(new));
            version.bump();
        }
        Outcome::Redirect { location } => {
            let _ = window().location().assign(&location);
        }
    });
    let title = Signal::derive(move || {
        match (minted.with(Option::is_some), already.get()) {
            (true, _) => "Token created",
            (false, true) => "Already created",
            (false, false) => "Add Token",
        }
        .to_owned()
    });
    let close_href = {
        let list = list.clone();
        let workspace = workspace.clone();
        Signal::derive(move || {
            minted.with(|minted| {
                minted.as_ref().map_or_else(|| list.clone(), |minted| done_path(&workspace, minted))
            })
        })
    };
    let lead = {
        let name = form.overview.workspace.name.to_string();
        (move || match minted.get() {
            Some(minted) => Either::Left(lead(&minted)),
            None => Either::Right(view! { <bdi>{name.clone()}</bdi> }),
        })
        .into_any()
    };
    let body = move || match minted.get() {
        Some(minted) => EitherOf3::A({
            let done_href = close_href.get_untracked();
            view! { <Reveal minted done_href kept may_leave=may_close/> }
        }),
        None if already.get() => EitherOf3::B(view! {
            <Already list=list.clone() new=action.clone()/>
        }),
        None => EitherOf3::C(view! {
            <CreateForm form=form.clone() draft=draft.clone() state action=action.clone()
                cancel_href=list.clone() typed may_cancel=may_close on_done/>
        }),
    };
    view! {
        <Panel title close_href lead size="panel-wide" may_close>
            {body}
        </Panel>
    }
}

/// The message for a form that was submitted twice: after a reload, or after a lost response.
#[component]
fn Already(list: String, new: String) -> impl IntoView {
    let notice = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        if let Some(notice) = notice.get() {
            request_animation_frame(move || {
                let _ = notice.focus();
            });
        }
    });
    view! {
        <div class="panel-body">
            <div class="notice notice-warning" role="alert" tabindex="-1" node_ref=notice>
                <Icon glyph=Glyph::Warning/>
                <p>"This form already created its token. No second token was created."</p>
            </div>
            <p>
                "The secret was shown once, when the token was created, and can't be shown again. If \
                 you didn't copy it, delete that token and add another one."
            </p>
        </div>
        <footer class="panel-foot form-actions">
            <a class="button button-primary" href=list rel="external">"Back to the list"</a>
            <a class="button" href=new rel="external">"Add another token"</a>
        </footer>
    }
}

fn lead(minted: &Minted) -> impl IntoView + use<> {
    view! {
        <strong><bdi>{minted.token.name.clone()}</bdi></strong>
        " "
        <code class="hint">{minted.token.hint.clone()}</code>
    }
}

/// Returns the address of the list with the new token's row marked.
fn done_path(workspace: &str, minted: &Minted) -> String {
    Paths::new(workspace).list(&Place { created: Some(minted.token.id), ..Place::default() })
}

/// Returns the form's initial values, from the post or from the link.
fn first_draft(form: &TokenForm, action: &str, search: &str) -> Draft {
    if let Some(posted) = use_posted().filter(|posted| posted.path == action) {
        let values = posted.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        return Draft::read(values, Source::Form, form);
    }
    let pairs: Vec<_> = pairs(search).collect();
    let values = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Draft::read(values, Source::Link, form)
}

/// Asks for confirmation in the browser's own dialog, which works whatever the console's styles and
/// scripts do.
fn confirm(question: &str) -> bool {
    window().confirm_with_message(question).unwrap_or(true)
}
