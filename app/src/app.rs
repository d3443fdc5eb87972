//! The root of the console: contexts and routes.

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    components::{ParentRoute, Route, Router, Routes},
    path,
};

use crate::{
    components::{
        flash::provide_flash,
        live::{Announcer, LiveRegions},
        menus::close_menus_by_themselves,
    },
    pages::{
        auth::PageTop,
        frame::FramePage,
        instance::InstancePage,
        invitations::InvitationsPage,
        members::MembersPage,
        not_found::NotFoundPage,
        passwords::{PasswordPage, ResetPasswordPage},
        sessions::SignInPage,
        setup::SetupPage,
        tokens::{
            TokenCreatePage, TokenDeletePage, TokenDisablePage, TokenEditPage, TokenRevealPage,
            TokenRotatePage, TokenViewPage, TokensPage,
        },
        workspaces::{OverviewPage, SettingsPage, WorkspacesPage},
    },
};

/// The console's root component.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(Announcer::new());
    provide_flash();
    close_menus_by_themselves();
    view! {
        <PageTop/>
        <Router>
            <Routes fallback=NotFoundPage>
                <Route path=path!("/setup/:secret") view=SetupPage/>
                <Route path=path!("/sign-in") view=SignInPage/>
                <Route path=path!("/reset-password/:secret") view=ResetPasswordPage/>
                <ParentRoute path=path!("/account") view=FramePage>
                    <Route path=path!("password") view=PasswordPage/>
                </ParentRoute>
                <ParentRoute path=path!("/instance") view=FramePage>
                    <Route path=path!("") view=InstancePage/>
                </ParentRoute>
                <ParentRoute path=path!("/invitations") view=FramePage>
                    <Route path=path!("") view=InvitationsPage/>
                </ParentRoute>
                <ParentRoute path=path!("/workspaces") view=FramePage>
                    <Route path=path!("") view=WorkspacesPage/>
                    <Route path=path!(":workspace") view=OverviewPage/>
                    <Route path=path!(":workspace/settings") view=SettingsPage/>
                    <Route path=path!(":workspace/settings/members") view=MembersPage/>
                    <ParentRoute path=path!(":workspace/settings/tokens") view=TokensPage>
                        <Route path=path!("") view=|| ()/>
                        <Route path=path!("new") view=TokenCreatePage/>
                        <Route path=path!(":token") view=TokenViewPage/>
                        <Route path=path!(":token/edit") view=TokenEditPage/>
                        <Route path=path!(":token/rotate") view=TokenRotatePage/>
                        <Route path=path!(":token/reveal") view=TokenRevealPage/>
                        <Route path=path!(":token/disable") view=TokenDisablePage/>
                        <Route path=path!(":token/delete") view=TokenDeletePage/>
                    </ParentRoute>
                </ParentRoute>
            </Routes>
        </Router>
        <LiveRegions/>
    }
}
