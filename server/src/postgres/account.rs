//! As whom PostgreSQL runs. It refuses to run as root; then it runs as `postgres`, or `nobody`.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::PostgresError;

/// The user that runs the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// Its user id.
    pub(super) uid: u32,
    gid: u32,
    name: String,
    /// The process is root and must become this user.
    switch: bool,
}

impl Account {
    /// This process's own user, unless that is root.
    pub(super) fn choose() -> Result<Self, PostgresError> {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            // Directory services are not asked: their users run no servers.
            let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
            return stand_in(&users).ok_or(PostgresError::NoAccount);
        }
        Ok(Self {
            uid: uid.as_raw(),
            gid: rustix::process::getegid().as_raw(),
            name: String::new(),
            switch: false,
        })
    }

    /// Makes a command run as this user. Supplementary groups are dropped with root's rights.
    pub(super) fn run(&self, command: &mut Command) {
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives this user a file or folder.
    pub(super) fn own(&self, path: &Path) -> Result<(), PostgresError> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid))
                .map_err(PostgresError::io("hand over to the database's user", path))?;
        }
        Ok(())
    }

    /// Refuses a folder that this user cannot reach.
    pub(super) fn check_way(&self, folder: &Path) -> Result<(), PostgresError> {
        match self.closed_on_way(folder) {
            Some(closed) if self.switch => {
                Err(PostgresError::ClosedWay { user: self.name.clone(), closed })
            }
            _ => Ok(()),
        }
    }

    /// The first folder on the way to `path` that this user cannot pass through. Folders that do
    /// not exist yet will be made passable.
    fn closed_on_way(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|folder| {
                fs::metadata(folder)
                    .is_ok_and(|found| !self.may_pass(found.mode(), found.uid(), found.gid()))
            })
            .map(Path::to_owned)
    }

    const fn may_pass(&self, mode: u32, uid: u32, gid: u32) -> bool {
        // The kernel looks at the first class that fits, and at no other.
        let bit = if uid == self.uid {
            0o100
        } else if gid == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

/// Why the embedded database cannot live in this folder, when it is root who asks.
pub(crate) fn obstacle(folder: &Path) -> Option<String> {
    let account = Account::choose().ok().filter(|account| account.switch)?;
    let closed = account.closed_on_way(folder)?;
    Some(format!(
        "PostgreSQL runs as the user {} here, who may not pass through {}",
        account.name,
        closed.display()
    ))
}

fn stand_in(users: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let mut numbers = fields.skip(1);
            let uid = numbers.next()?.parse().ok()?;
            let gid = numbers.next()?.parse().ok()?;
            (uid != 0).then(|| Account { uid, gid, name: name.to_owned(), switch: true })
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";

    #[test]
    fn stand_in_is_postgres_before_nobody() {
        assert_eq!(stand_in(USERS).unwrap().uid, 65534);
        let users = format!("{USERS}postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(
            stand_in(&users).unwrap(),
            Account { uid: 101, gid: 104, name: "postgres".into(), switch: true }
        );
        assert_eq!(stand_in("postgres:x:0:0::/:"), None);
        assert_eq!(stand_in(""), None);
    }

    #[test]
    fn closed_folder_on_the_way_is_found_and_named() {
        let root = TempDir::new().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = root.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let somebody =
            Account { uid: 4_000_000, gid: 4_000_000, name: "somebody".into(), switch: true };
        assert_eq!(somebody.closed_on_way(&closed.join("a/b")), Some(closed.clone()));
        assert_eq!(somebody.closed_on_way(&root.path().join("open/b")), None);
        let error = somebody.check_way(&closed).unwrap_err().to_string();
        assert!(
            error.contains("somebody") && error.contains("--data-dir /var/lib/tessera"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn reading_any_user_list_never_panics(users in any::<String>()) {
            let _ = stand_in(&users);
        }
    }
}
