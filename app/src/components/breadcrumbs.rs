//! The breadcrumb trail of a page.

use leptos::{either::Either, prelude::*};

/// One step of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crumb {
    /// The name of the page.
    pub name: String,
    /// The path of the page; `None` for the current page.
    pub href: Option<String>,
}

/// The trail that leads to the current page.
#[component]
pub fn Breadcrumbs(
    /// The steps; the current page is the last.
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
