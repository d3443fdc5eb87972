//! The frame around every page for signed-in users: top bar, navigation, main part.

use leptos::prelude::*;
use leptos_router::{components::Outlet, hooks::use_location};

use super::{account_menu::AccountMenu, crumbs, sidebar::Sidebar};
use crate::{
    components::{
        breadcrumbs::Breadcrumbs,
        flash::{FlashMessage, use_flash},
        icon::{Glyph, Icon},
        logo::Logo,
        menus::close_menus,
    },
    fns::frame::{Frame, load_frame},
    problem::ConsoleError,
};

/// The data of the frame: a context of the pages inside.
pub type FrameResource = Resource<Result<Frame, ConsoleError>>;

/// The frame, as the parent route of the pages inside it.
#[component]
pub fn FramePage() -> impl IntoView {
    view! {
        <AppFrame>
            <Outlet/>
        </AppFrame>
    }
}

/// The frame around a page.
#[component]
pub fn AppFrame(
    /// The page.
    children: Children,
) -> impl IntoView {
    let frame: FrameResource = Resource::new(|| (), |()| load_frame());
    provide_context(frame);
    let path = use_location().pathname;
    let flash = use_flash();
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path) {
            close_menus();
            flash.grow_old();
        }
        path
    });
    let workspace = Memo::new(move |_| path.with(|path| crumbs::workspace_of(path)));
    view! {
        <div class="shell" class:shell-plain=move || workspace.with(Option::is_none)>
            <header class="topbar">
                <Show when=move || workspace.with(Option::is_some)>
                    <button
                        class="icon-button nav-toggle"
                        type="button"
                        popovertarget="navigation"
                        aria-label="Navigation"
                    >
                        <Icon glyph=Glyph::Menu/>
                    </button>
                </Show>
                <a class="brand" href="/workspaces">
                    <Logo/>
                </a>
                <Transition>
                    {move || Suspend::new(async move {
                        let frame = frame.await.ok();
                        let crumbs = Signal::derive(move || {
                            path.with(|path| crumbs::of(path, frame.as_ref()))
                        });
                        view! { <Breadcrumbs crumbs/> }
                    })}
                </Transition>
                <div class="topbar-end">
                    <a class="icon-button" href="/api/docs" rel="external" aria-label="API documentation">
                        <Icon glyph=Glyph::Help/>
                    </a>
                    <Transition>
                        {move || Suspend::new(async move {
                            frame.await.ok().map(|frame| {
                                view! { <AccountMenu visitor=frame.visitor/> }
                            })
                        })}
                    </Transition>
                </div>
            </header>
            <Transition>
                {move || Suspend::new(async move {
                    frame.await.ok().map(|frame| view! { <Sidebar frame workspace path/> })
                })}
            </Transition>
            <main class="main" id="main" tabindex="-1">
                <BasicModeNote/>
                <FlashMessage/>
                {children()}
            </main>
        </div>
    }
}

/// A note that the loader shows if the console could not be loaded. It is always shown
/// without scripts.
#[component]
pub fn BasicModeNote() -> impl IntoView {
    view! {
        <p class="notice notice-info basic-note" id="basic-mode-note" hidden>
            <Icon glyph=Glyph::Info/>
            <span>
                "Basic mode: JavaScript is off or didn't load. Everything works, with more page reloads."
            </span>
        </p>
    }
}
