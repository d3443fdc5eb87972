//! Collects the spans and events of a test, with all of their fields.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// The fields of a span or of an event, by name.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub BTreeMap<&'static str, String>);

impl Fields {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// An event and the span that it belongs to.
#[derive(Clone, Debug)]
pub struct Line {
    pub level: Level,
    pub target: &'static str,
    pub fields: Fields,
    pub span: Option<Fields>,
}

/// What was collected so far.
#[derive(Clone, Default)]
pub struct Collected(Arc<Mutex<(Vec<Fields>, Vec<Line>)>>);

impl Collected {
    /// Collects everything that this thread logs, with all libraries, until the guard is dropped.
    pub fn start() -> (Self, DefaultGuard) {
        let collected = Self::default();
        let registry = Registry::default().with(collected.clone());
        (collected, tracing::subscriber::set_default(registry))
    }

    pub fn spans(&self) -> Vec<Fields> {
        self.0.lock().unwrap().0.clone()
    }

    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().1.clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collected {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        self.0.lock().unwrap().0.push(fields.clone());
        ctx.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.0.lock().unwrap().0.push(fields);
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = ctx.event_span(event);
        let span = span.and_then(|span| span.extensions().get::<Fields>().cloned());
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        self.0.lock().unwrap().1.push(Line { level, target, fields, span });
    }
}
