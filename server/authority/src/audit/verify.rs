//! Verifies the chains of an instance.

use domain::names::Slug;
use serde::Serialize;
use uuid::Uuid;

use super::{AuditLog, Damage, reads_instance, walk::Walk};
use crate::{OpContext, ServiceError, store::audit_walk as store};

/// The number of rows per step.
const STEP: i64 = 1_000;

/// The end of a chain that was stored elsewhere, as `CHAIN:SEQ:MAC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// The chain.
    pub chain: Uuid,
    /// The position of its last row at that time.
    pub seq: i64,
    /// That row's MAC.
    pub mac: [u8; 32],
}

/// The result of verifying one chain.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    /// The chain: a workspace's id, or the nil UUID for the instance.
    pub chain: Uuid,
    /// The workspace, if the chain belongs to one.
    pub workspace: Option<Slug>,
    /// The number of rows.
    pub rows: u64,
    /// The chain's end in the form of [`KnownHead`], to be stored elsewhere.
    pub head: Option<String>,
    /// The damage; empty for an intact chain.
    pub damage: Vec<Damage>,
}

impl std::fmt::Display for KnownHead {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}:{}", self.chain, self.seq, hex::encode(self.mac))
    }
}

impl std::str::FromStr for KnownHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "must be CHAIN:SEQ:MAC, as printed by tessera audit verify";
        let mut parts = text.trim().split(':');
        let (Some(chain), Some(seq), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FORM);
        };
        let mut known = Self {
            chain: Uuid::try_parse(chain).map_err(|_| FORM)?,
            seq: seq.parse().ok().filter(|seq| *seq >= 0).ok_or(FORM)?,
            mac: [0; 32],
        };
        hex::decode_to_slice(mac, &mut known.mac).map_err(|_| FORM)?;
        Ok(known)
    }
}

impl AuditLog<'_> {
    /// Verifies all chains in one snapshot, so that concurrent changes don't interfere. Compares
    /// them with ends that were stored elsewhere: only this can reveal that an older state of the
    /// database was restored.
    ///
    /// # Errors
    /// `Forbidden` for callers who may not read the log of the whole instance.
    #[tracing::instrument(skip_all, fields(
        noun = "audit", verb = "verify",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn verify(
        &self,
        ctx: &OpContext,
        known: &[KnownHead],
    ) -> Result<Vec<ChainReport>, ServiceError> {
        reads_instance(ctx)?;
        let mut transaction = self.inner.begin().await?;
        store::freeze(&mut transaction).await?;
        let mut reports = Vec::new();
        let mut chains = store::chains(&mut transaction).await?;
        for head in known {
            if chains.iter().all(|(chain, _)| *chain != head.chain) {
                chains.push((head.chain, None));
            }
        }
        for (chain, slug) in chains {
            let head = store::head(&mut transaction, chain).await?;
            let mut walk = Walk::new(&self.inner.keys, chain, head.as_ref());
            let mut rows = 0_u64;
            let mut after = (i64::MIN, i64::MIN);
            let mut rewritten: Vec<&KnownHead> =
                known.iter().filter(|known| known.chain == chain && known.seq > 0).collect();
            loop {
                let step = store::rows(&mut transaction, chain, after, STEP).await?;
                let Some(last) = step.last() else { break };
                after = (last.link.as_ref().map_or(i64::MAX, |link| link.seq), last.event.id);
                for row in &step {
                    rows += 1;
                    walk.step(row);
                    rewritten.retain(|known| {
                        row.link
                            .as_ref()
                            .is_none_or(|link| link.seq != known.seq || link.mac != known.mac)
                    });
                }
            }
            let mut damage = walk.finish();
            damage
                .extend(rewritten.iter().map(|known| Damage::Rewritten { chain, seq: known.seq }));
            let head = head.map(|head| format!("{chain}:{}:{}", head.seq, hex::encode(&head.mac)));
            reports.push(ChainReport { chain, workspace: slug, rows, head, damage });
        }
        let mut after = i64::MIN;
        loop {
            let step = store::unchained(&mut transaction, after, STEP).await?;
            let Some(last) = step.last() else { break };
            after = last.event.id;
            for row in &step {
                // Goes to the report of the chain that it would belong to, or else to
                // the instance's.
                let chain = row.event.chain();
                let place = reports.iter().position(|report| report.chain == chain).unwrap_or(0);
                if let Some(report) = reports.get_mut(place) {
                    report.damage.push(Damage::Unchained { id: row.event.id });
                }
            }
        }
        Ok(reports)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn known_head_survives_a_round_trip(chain in any::<u128>(), seq in 0..i64::MAX, mac in any::<[u8; 32]>()) {
            let known = KnownHead { chain: Uuid::from_u128(chain), seq, mac };
            prop_assert_eq!(known.to_string().parse::<KnownHead>(), Ok(known));
        }

        #[test]
        fn parsing_any_head_never_panics(text in any::<String>()) {
            let _ = text.parse::<KnownHead>();
        }
    }
}
