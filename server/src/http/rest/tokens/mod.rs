//! Tokens: their records and secrets, for their managers and for a token itself (`…_self`).

mod bulk;
mod children_query;
mod clone;
mod create;
mod delete;
mod delete_self;
mod disable;
mod enable;
mod end_grace;
mod expire;
mod export;
mod import;
mod list;
mod reveal;
mod rotate;
mod rotate_self;
mod show;
mod show_self;
mod update;
mod usage;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list_tokens, create::create_token))
        .routes(routes!(bulk::bulk_tokens))
        .routes(routes!(show::show_token, update::update_token, delete::delete_token))
        .routes(routes!(enable::enable_token))
        .routes(routes!(disable::disable_token))
        .routes(routes!(expire::expire_token))
        .routes(routes!(rotate::rotate_token))
        .routes(routes!(end_grace::end_grace))
        .routes(routes!(reveal::reveal_token))
        .routes(routes!(clone::clone_token))
        .routes(routes!(show_self::show_self, delete_self::delete_self))
        .routes(routes!(rotate_self::rotate_self))
        .routes(routes!(import::import_tokens))
        .routes(routes!(export::export_tokens))
        .routes(routes!(usage::show_usage))
}
