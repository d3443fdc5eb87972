//! Writers that continuously create and delete tokens, whatever happens to the database.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{ledger::SERVERS, made::Change, stage::Stage};
use crate::random::Random;

/// The number of writers.
const WRITERS: usize = 4;

/// Running writers.
#[derive(Debug)]
pub(crate) struct Writers {
    tasks: JoinSet<()>,
    stop: Rc<Cell<bool>>,
}

impl Writers {
    /// Starts the writers.
    pub(crate) fn start(stage: &Rc<Stage>) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), Rc::new(Cell::new(false)));
        for seed in 0..WRITERS {
            let random = Random::new(seed as u64 + 1_000);
            tasks.spawn_local(write(Rc::clone(stage), Rc::clone(&stop), random));
        }
        Self { tasks, stop }
    }

    /// Waits until each has finished its current change.
    pub(crate) async fn stop(mut self) {
        self.stop.set(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn write(stage: Rc<Stage>, stop: Rc<Cell<bool>>, mut random: Random) {
    let mut own: Vec<usize> = Vec::new();
    while !stop.get() {
        let server = random.below(SERVERS);
        if own.len() < 3 || random.percent(50) {
            own.extend(stage.try_make(server).await);
        } else {
            let token = own.swap_remove(random.below(own.len()));
            stage.try_change(server, token, Change::Delete).await;
        }
        sleep(Duration::from_millis(10)).await;
    }
}
