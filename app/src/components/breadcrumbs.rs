//! Where this page is.

use leptos::{either::Either, prelude::*};

/// One step of the way: its name, and its path unless it is this page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crumb {
    /// Its name.
    pub name: String,
    /// Its path; `None` for this page.
    pub href: Option<String>,
}

/// The way to this page.
#[component]
pub fn Breadcrumbs(
    /// The steps, this page last.
    #[prop(into)]
    crumbs: Signal<Vec<Crumb>>,
) -> impl IntoView {
    let items = move || {
        crumbs
            .get()
            .into_iter()
            .map(|crumb| match crumb.href {
                Some(href) => Either::Left(view! { <li><a href=href>{crumb.name}</a></li> }),
                None => {
                    Either::Right(view! { <li><span aria-current="page">{crumb.name}</span></li> })
                }
            })
            .collect_view()
    };
    view! {
        <nav class="breadcrumbs" aria-label="Breadcrumbs">
            <ol>{items}</ol>
        </nav>
    }
}
