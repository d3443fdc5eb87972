//! The message about the last action, on the page that a form leads to.

use leptos::{either::Either, prelude::*};

use super::{
    icon::{Glyph, Icon},
    live::use_announcer,
};
use crate::{fns::notice::load_notice, notice::Notice};

/// The message about the last action: sent by the server with the page, or set by a dialog that
/// closed. A context of the whole console.
#[derive(Clone, Copy, Debug)]
pub struct Flash {
    told: RwSignal<Option<Notice>>,
    fresh: RwSignal<bool>,
    server_told: RwSignal<bool>,
}

impl Flash {
    fn new() -> Self {
        Self {
            told: RwSignal::new(None),
            fresh: RwSignal::new(false),
            server_told: RwSignal::new(true),
        }
    }

    /// Shows a message on the page that opens next, and announces it.
    pub fn show(self, notice: Notice) {
        use_announcer().say(notice.text());
        self.server_told.set(false);
        self.told.set(Some(notice));
        self.fresh.set(true);
    }

    /// Removes the message.
    pub fn clear(self) {
        self.told.set(None);
        self.server_told.set(false);
    }

    /// Handles navigation to another page. Removes an older message and keeps one that was set by
    /// this navigation.
    pub fn grow_old(self) {
        if self.fresh.get_untracked() {
            self.fresh.set(false);
        } else {
            self.clear();
        }
    }
}

/// Returns the console's flash.
pub fn use_flash() -> Flash {
    use_context::<Flash>().unwrap_or_else(Flash::new)
}

/// Provides the flash as a context.
pub fn provide_flash() {
    provide_context(Flash::new());
}

/// The message, shown at the top of a page.
#[component]
pub fn FlashMessage() -> impl IntoView {
    let flash = use_flash();
    let from_server = Resource::new(|| (), |()| load_notice());
    let message = move |notice: Notice| {
        view! {
            <div class="flash flash-success" role="status">
                <Icon glyph=Glyph::Active/>
                <p>{notice.text()}</p>
                <button
                    type="button"
                    class="icon-button flash-close needs-script"
                    aria-label="Dismiss"
                    on:click=move |_| flash.clear()
                >
                    <Icon glyph=Glyph::Close/>
                </button>
            </div>
        }
    };
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let told = from_server.await.ok().flatten();
                move || match flash.told.get().or_else(|| told.clone().filter(|_| flash.server_told.get())) {
                    Some(notice) => Either::Left(message(notice)),
                    None => Either::Right(()),
                }
            })}
        </Suspense>
    }
}
