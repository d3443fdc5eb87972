//! Decides which tokens are exposed, from the graph of who got whose secret, which
//! `secret_holders` reads.
//!
//! A *root* is a token that may be exposed. A *maker* is a token that got the secret of a root or
//! of another maker. An edge leads from each of them to every maker that got its secret. Chains of
//! makers are long if tokens create each other, so the search does not follow each root separately.
//! Instead, for each [`Class`] of people who may not know a secret, one walk marks the makers
//! through which such people know one.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

/// A user, and the id of the first row of the audit log by which they may know a secret.
pub(super) type Holder = (Uuid, i64);

/// A token that may be exposed.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) token: Uuid,
    pub(super) user: Uuid,
    pub(super) workspace: Uuid,
    /// The scopes that a holder must be able to grant.
    pub(super) scopes: Vec<String>,
    /// Whether only users who manage the instance may know the secret.
    pub(super) for_managers: bool,
}

/// A person who may know a secret.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) email: String,
    /// Acts up to this row of the audit log are attributed to other people.
    pub(super) acts_count_after: Option<i64>,
    pub(super) is_active: bool,
    /// Whether they manage the instance.
    pub(super) manages: bool,
    /// The workspaces that they administer, with the patterns of the scopes that they may grant.
    /// `None` means all scopes.
    pub(super) administers: HashMap<Uuid, Option<Vec<String>>>,
}

impl Person {
    /// Checks whether an act is attributed to another person.
    fn is_doubted(&self, act: i64) -> bool {
        self.acts_count_after.is_some_and(|after| after >= act)
    }

    /// Checks whether the person could put this scope of `tessera` on a token of the workspace, or,
    /// without a scope, whether they administer the workspace.
    fn grants(&self, workspace: Uuid, scope: Option<&str>) -> bool {
        match self.administers.get(&workspace) {
            None => false,
            Some(None) => true,
            Some(Some(patterns)) => {
                scope.is_none_or(|scope| patterns.iter().any(|pattern| covers(pattern, scope)))
            }
        }
    }
}

fn covers(pattern: &str, scope: &str) -> bool {
    let name = pattern.strip_prefix("tessera/").unwrap_or(pattern);
    let prefix = name.strip_suffix('*').filter(|prefix| prefix.ends_with(':'));
    name == "*" || name == scope || prefix.is_some_and(|prefix| scope.starts_with(prefix))
}

/// People who may not know a secret: everyone except the token's owner and those who could get the
/// secret now.
///
/// If only one person is searched for, who is never the owner, the class omits the owner. So the
/// number of classes stays small however many owners the roots have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Class {
    /// People who do not manage the instance.
    OfManagers { user: Option<Uuid> },
    /// People who could not grant the scope in the workspace.
    OfScope { user: Option<Uuid>, workspace: Uuid, scope: Option<String> },
}

impl Class {
    fn of(root: &Root, known_to: Option<Uuid>) -> Vec<Self> {
        let Root { user, workspace, .. } = *root;
        let user = Some(user).filter(|user| known_to.is_none_or(|known_to| known_to == *user));
        if root.for_managers {
            vec![Self::OfManagers { user }]
        } else if root.scopes.is_empty() {
            vec![Self::OfScope { user, workspace, scope: None }]
        } else {
            let of = |scope: &String| Self::OfScope { user, workspace, scope: Some(scope.clone()) };
            root.scopes.iter().map(of).collect()
        }
    }

    fn has(&self, id: Uuid, person: &Person) -> bool {
        let may = person.is_active
            && (person.manages
                || match self {
                    Self::OfManagers { .. } => false,
                    Self::OfScope { workspace, scope, .. } => {
                        person.grants(*workspace, scope.as_deref())
                    }
                });
        let (Self::OfManagers { user } | Self::OfScope { user, .. }) = self;
        Some(id) != *user && !may
    }
}

/// The index of a maker.
type Place = usize;

#[derive(Debug, Default)]
struct Maker {
    token: Uuid,
    /// The user that it acts as.
    user: Option<Uuid>,
    holders: Vec<Holder>,
    /// The makers that got its secret.
    got_by: Vec<Place>,
    /// The makers whose secrets it got.
    got: Vec<Place>,
}

#[derive(Debug)]
struct Start {
    root: Root,
    holders: Vec<Holder>,
    got_by: Vec<Place>,
}

/// The graph of who got whose secret.
#[derive(Debug)]
pub(super) struct Graph {
    /// The only person to search for, if set.
    known_to: Option<Uuid>,
    /// Whether acts of a root's owner are attributed to other people.
    is_doubted: bool,
    roots: Vec<Start>,
    root_places: HashMap<Uuid, usize>,
    makers: Vec<Maker>,
    maker_places: HashMap<Uuid, Place>,
    people: HashMap<Uuid, Person>,
    /// The number of edges and holders.
    size: usize,
}

impl Graph {
    pub(super) fn new(known_to: Option<Uuid>, is_doubted: bool) -> Self {
        Self {
            known_to,
            is_doubted,
            roots: Vec::new(),
            root_places: HashMap::new(),
            makers: Vec::new(),
            maker_places: HashMap::new(),
            people: HashMap::new(),
            size: 0,
        }
    }

    /// Returns the number of roots, edges and holders.
    pub(super) fn size(&self) -> usize {
        self.roots.len() + self.size
    }

    pub(super) fn root(&self, place: usize) -> &Root {
        &self.roots[place].root
    }

    pub(super) fn add_root(&mut self, root: Root) {
        let token = root.token;
        let place = self.start(token);
        self.roots[place].root = root;
    }

    pub(super) fn add_root_edge(&mut self, root: Uuid, by: Uuid) {
        let (start, by) = (self.start(root), self.maker(by));
        self.size += 1;
        self.roots[start].got_by.push(by);
    }

    pub(super) fn add_root_holder(&mut self, root: Uuid, holder: Holder) {
        let start = self.start(root);
        self.size += 1;
        self.roots[start].holders.push(holder);
    }

    pub(super) fn add_edge(&mut self, token: Uuid, by: Uuid) {
        let (token, by) = (self.maker(token), self.maker(by));
        self.size += 1;
        self.makers[token].got_by.push(by);
        self.makers[by].got.push(token);
    }

    pub(super) fn add_holder(&mut self, token: Uuid, holder: Holder) {
        let place = self.maker(token);
        self.size += 1;
        self.makers[place].holders.push(holder);
    }

    pub(super) fn add_user(&mut self, token: Uuid, user: Uuid) {
        let place = self.maker(token);
        self.makers[place].user = Some(user);
    }

    pub(super) fn add_person(&mut self, id: Uuid, person: Person) {
        self.people.insert(id, person);
    }

    pub(super) fn add_administrator(
        &mut self,
        id: Uuid,
        workspace: Uuid,
        patterns: Option<Vec<String>>,
    ) {
        if let Some(person) = self.people.get_mut(&id) {
            person.administers.insert(workspace, patterns);
        }
    }

    /// Sorts the roots by workspace and id. Must be called after all roots are added.
    pub(super) fn sort(&mut self) {
        self.roots.sort_unstable_by_key(|start| (start.root.workspace, start.root.token));
        self.root_places.clear();
    }

    /// Returns all holders of secrets, and the workspaces of the roots.
    pub(super) fn people(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let workspaces: HashSet<Uuid> =
            self.roots.iter().map(|start| start.root.workspace).collect();
        let people: HashSet<Uuid> = if let Some(person) = self.known_to {
            HashSet::from([person])
        } else {
            let roots = self.roots.iter().flat_map(|start| &start.holders);
            let makers = self.makers.iter().flat_map(|maker| &maker.holders);
            let users = self.makers.iter().filter_map(|maker| maker.user);
            roots.chain(makers).map(|(user, _)| *user).chain(users).collect()
        };
        (people.into_iter().collect(), workspaces.into_iter().collect())
    }

    fn start(&mut self, token: Uuid) -> usize {
        if let Some(place) = self.root_places.get(&token) {
            return *place;
        }
        let root = Root {
            token,
            user: Uuid::nil(),
            workspace: Uuid::nil(),
            scopes: Vec::new(),
            for_managers: false,
        };
        self.roots.push(Start { root, holders: Vec::new(), got_by: Vec::new() });
        self.root_places.insert(token, self.roots.len() - 1);
        self.roots.len() - 1
    }

    fn maker(&mut self, token: Uuid) -> Place {
        *self.maker_places.entry(token).or_insert_with(|| {
            self.makers.push(Maker { token, ..Maker::default() });
            self.makers.len() - 1
        })
    }

    /// Returns a person, if they are searched for.
    fn counted(&self, id: Uuid) -> Option<&Person> {
        self.people.get(&id).filter(|_| self.known_to.is_none_or(|known_to| known_to == id))
    }

    /// Returns the indexes of the exposed roots.
    pub(super) fn exposed(&self) -> Vec<usize> {
        let doubted = self.mark(|maker| {
            maker
                .holders
                .iter()
                .any(|(id, act)| self.counted(*id).is_some_and(|person| person.is_doubted(*act)))
        });
        let mut walks = Walks { graph: self, of_class: HashMap::new(), of_user: HashMap::new() };
        let is_exposed = |(place, start): (usize, &Start)| {
            let root = &start.root;
            let classes = Class::of(root, self.known_to);
            let through = |marks: &[bool]| start.got_by.iter().any(|by| marks[*by]);
            let found = through(&doubted)
                || start.holders.iter().any(|holder| self.may_not_know(root, &classes, *holder))
                || !start.got_by.is_empty()
                    && (classes.into_iter().any(|class| through(walks.of_class(class)))
                        || self.is_doubted && walks.of_user(root.user).reach(start));
            found.then_some(place)
        };
        self.roots.iter().enumerate().filter_map(is_exposed).collect()
    }

    /// Returns the addresses of the people who may have learned the secret of a root but may not
    /// know it.
    pub(super) fn holders(&self, place: usize) -> Vec<String> {
        let Start { root, holders, got_by } = &self.roots[place];
        let classes = Class::of(root, self.known_to);
        let mut found: HashSet<Uuid> = HashSet::new();
        let mut seen: HashSet<Place> = got_by.iter().copied().collect();
        let mut open = got_by.clone();
        let mut look = |holder: Holder| {
            if self.may_not_know(root, &classes, holder) {
                found.insert(holder.0);
            }
        };
        for holder in holders {
            look(*holder);
        }
        while let Some(place) = open.pop() {
            let maker = &self.makers[place];
            for holder in &maker.holders {
                look(*holder);
            }
            if let Some(user) = maker.user.filter(|_| maker.token != root.token) {
                look((user, i64::MAX));
            }
            open.extend(maker.got_by.iter().filter(|next| seen.insert(**next)));
        }
        let mut emails: Vec<String> = found
            .iter()
            .filter_map(|id| self.people.get(id))
            .map(|one| one.email.clone())
            .collect();
        emails.sort_unstable();
        emails
    }

    fn may_not_know(&self, root: &Root, classes: &[Class], (id, act): Holder) -> bool {
        self.counted(id).is_some_and(|person| {
            person.is_doubted(act)
                || self.is_doubted && id == root.user
                || classes.iter().any(|class| class.has(id, person))
        })
    }

    /// Marks the makers that match, and all makers whose secrets lead to them.
    fn mark(&self, is_marked: impl Fn(&Maker) -> bool) -> Vec<bool> {
        let mut marks: Vec<bool> = self.makers.iter().map(is_marked).collect();
        let mut open: Vec<Place> = (0..marks.len()).filter(|place| marks[*place]).collect();
        while let Some(place) = open.pop() {
            for next in &self.makers[place].got {
                if !std::mem::replace(&mut marks[*next], true) {
                    open.push(*next);
                }
            }
        }
        marks
    }
}

/// The walks done so far, so that each is done only once.
struct Walks<'a> {
    graph: &'a Graph,
    of_class: HashMap<Class, Vec<bool>>,
    of_user: HashMap<Uuid, OwnWalk>,
}

impl Walks<'_> {
    fn of_class(&mut self, class: Class) -> &[bool] {
        let graph = self.graph;
        self.of_class.entry(class).or_insert_with_key(|class| {
            let has = |id: Uuid| graph.counted(id).is_some_and(|person| class.has(id, person));
            graph.mark(|maker| {
                maker.holders.iter().any(|(id, _)| has(*id)) || maker.user.is_some_and(has)
            })
        })
    }

    fn of_user(&mut self, user: Uuid) -> &OwnWalk {
        let graph = self.graph;
        self.of_user.entry(user).or_insert_with(|| OwnWalk::new(graph, user))
    }
}

/// What the owner of a root knows of makers. The root itself acts as its owner, which does not
/// count, but other tokens that act as this owner do. So up to two such tokens are kept for each
/// maker: at least one of two is not the root.
struct OwnWalk {
    /// Makers through which the owner knows a secret by an act.
    by_act: Vec<bool>,
    /// Up to two tokens that act as the owner and got the maker's secret.
    by_tokens: Vec<[Option<Uuid>; 2]>,
}

impl OwnWalk {
    fn new(graph: &Graph, user: Uuid) -> Self {
        let counts = graph.counted(user).is_some();
        let by_act = graph.mark(|maker| counts && maker.holders.iter().any(|(id, _)| *id == user));
        let mut by_tokens = vec![[None; 2]; graph.makers.len()];
        let mut open = Vec::new();
        for (place, maker) in graph.makers.iter().enumerate() {
            if counts && maker.user == Some(user) {
                by_tokens[place][0] = Some(maker.token);
                open.push(place);
            }
        }
        // A maker is visited again only if it gained one of its two tokens.
        while let Some(place) = open.pop() {
            let here: [Option<Uuid>; 2] = by_tokens[place];
            for next in &graph.makers[place].got {
                if add(&mut by_tokens[*next], here) {
                    open.push(*next);
                }
            }
        }
        Self { by_act, by_tokens }
    }

    fn reach(&self, start: &Start) -> bool {
        let others = |by: &Place| {
            self.by_tokens[*by].iter().flatten().any(|token| *token != start.root.token)
        };
        start.got_by.iter().any(|by| self.by_act[*by] || others(by))
    }
}

/// Adds tokens to the free places. Returns whether it added any.
fn add(places: &mut [Option<Uuid>; 2], more: [Option<Uuid>; 2]) -> bool {
    let before = *places;
    for token in more.into_iter().flatten() {
        if !places.contains(&Some(token))
            && let Some(free) = places.iter_mut().find(|place| place.is_none())
        {
            *free = Some(token);
        }
    }
    *places != before
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a graph in which one maker got the secrets of tokens that act as many users.
    fn graph(known_to: Option<Uuid>, users: u128) -> Graph {
        let (person, maker, workspace) =
            (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let mut graph = Graph::new(known_to, false);
        for number in 0..users {
            let token = Uuid::from_u128(1_000_000 + number);
            graph.add_root(Root {
                token,
                user: Uuid::from_u128(2_000_000 + number),
                workspace,
                scopes: vec!["tokens:write".to_owned()],
                for_managers: false,
            });
            graph.add_root_edge(token, maker);
        }
        graph.add_holder(maker, (person, 1));
        graph.sort();
        let gone = Person {
            email: "gone@example.com".to_owned(),
            acts_count_after: None,
            is_active: false,
            manages: false,
            administers: HashMap::new(),
        };
        graph.add_person(person, gone);
        graph
    }

    #[test]
    fn secrets_known_to_one_person_are_one_class_for_any_number_of_users() {
        let person = Some(Uuid::from_u128(1));
        for known_to in [person, None] {
            let graph = graph(known_to, 50);
            assert_eq!(graph.exposed().len(), 50);
            let classes: HashSet<Class> =
                graph.roots.iter().flat_map(|start| Class::of(&start.root, known_to)).collect();
            assert_eq!(classes.len(), if known_to.is_some() { 1 } else { 50 });
        }
    }
}
