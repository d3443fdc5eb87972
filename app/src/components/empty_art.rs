//! The picture above an empty list: a floor of small tiles, tesserae.

use leptos::prelude::*;

/// The numbers of columns and rows.
const SIZE: (u8, u8) = (6, 4);

/// A floor of small tiles. It is purely decorative.
#[component]
pub fn EmptyArt() -> impl IntoView {
    let tiles = (0..SIZE.0)
        .flat_map(|column| (0..SIZE.1).map(move |row| (column, row)))
        .map(|(column, row)| {
            // Each column starts one colour later than the previous one.
            let class = format!("art-{}", (row + 3 * column) % 4);
            let (x, y) = (1 + 16 * column, 1 + 16 * row);
            view! { <rect class=class x=x y=y width="14" height="14" rx="2.5"/> }
        })
        .collect_view();
    view! {
        <svg class="empty-art" viewBox="0 0 96 64" aria-hidden="true">
            {tiles}
        </svg>
    }
}
