//! The parts that panels about one token share: they load the token, and return to the
//! list afterwards.

use leptos::{either::Either, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_params_map},
};

use super::{list::use_list_version, paths::Paths, place::Place, problem::ProblemPanel};
use crate::{
    components::flash::use_flash,
    fns::tokens_show::{TokenDetail, tokens_show},
    notice::Notice,
    pages::workspaces::show::use_workspace_slug,
    posted::Outcome,
};

/// Returns the token's id in the page's path.
pub(super) fn use_token_id() -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.with(|params| params.get("token")).unwrap_or_default())
}

/// Renders a panel about the token in the page's path, once the token is loaded. If the panel is to
/// `change` the token, the visitor must be allowed to.
pub(super) fn one_token(
    change: bool,
    panel: impl Fn(TokenDetail, Place) -> AnyView + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let workspace = use_workspace_slug();
    let id = use_token_id();
    let search = use_location().search;
    let detail = Resource::new(
        move || (workspace.get(), id.get()),
        move |(workspace, id)| tokens_show(workspace, id, change),
    );
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match detail.await {
                    Ok(detail) => {
                        let place = Place::read(&search.get_untracked());
                        Either::Left(panel(detail, place))
                    }
                    Err(error) => Either::Right(view! { <ProblemPanel error/> }),
                }
            })}
        </Suspense>
    }
}

/// Returns the callback for a form about a token that succeeded. It returns to the list, reloads
/// it, and shows `notice`.
pub(super) fn back_to_list(list: String, notice: Notice) -> Callback<Outcome> {
    let navigate = use_navigate();
    let flash = use_flash();
    let version = use_list_version();
    Callback::new(move |_: Outcome| {
        flash.show(notice.clone());
        version.bump();
        let options =
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        navigate(&list, options);
    })
}

/// Returns the paths of a token's workspace, and the address of the list to return to.
pub(super) fn ways(detail: &TokenDetail, place: &Place) -> (Paths, String) {
    let paths = Paths::new(detail.token.workspace.as_ref());
    let list = paths.list(place);
    (paths, list)
}
