//! Lists without pages: the older paths answer with every row of the tenant at once.
//!
//! Rows are read in pages and written as they come, so an answer takes the memory of a page or
//! two however long it is, and no transaction waits for a slow reader. Rows that come or go
//! meanwhile may or may not be there; no row is there twice.
//!
//! Invariant: a list that is cut short never looks whole. What fails before the first rows are
//! written is an ordinary failure; what fails later breaks the connection off in the middle of
//! the JSON text.

use std::{future::Future, io, marker::PhantomData, pin::Pin, sync::Arc};

use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as Code},
};
use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};
use latchkey_app::{
    AppError, Page, PageRequest,
    paging::{MAX_LIMIT, PageKey},
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{body::Reply, calls, error::ApiError};

/// Every row, in the envelope with counters: `{"data": […], "pagination": {…}}`.
pub(crate) struct WholeList<T>(Response, PhantomData<fn() -> T>);

/// Every row, as a bare array.
pub(crate) struct WholeArray<T>(Response, PhantomData<fn() -> T>);

/// List with counters.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(crate) struct Counted<T> {
    /// The rows.
    pub(crate) data: Vec<T>,
    /// How many there are.
    pub(crate) pagination: OffsetPage,
}

/// Counters of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OffsetPage {
    /// Rows that there are in all.
    pub(crate) total: i32,
    /// Rows that were asked for at most; in a list without pages, those there are.
    pub(crate) limit: i32,
    /// Rows before the first one here.
    pub(crate) offset: i32,
}

impl OffsetPage {
    /// The counters of a list that has everything.
    fn of_all(rows: usize) -> Self {
        let rows = count32(rows);
        Self { total: rows, limit: rows, offset: 0 }
    }
}

/// A count on the wire, where numbers have 32 bits.
pub(crate) fn count32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl<T: Serialize> Counted<T> {
    /// A short list of everything, where streaming would gain nothing.
    pub(crate) fn all(data: Vec<T>) -> Self {
        let pagination = OffsetPage::of_all(data.len());
        Self { data, pagination }
    }
}

/// The pages of a use case that lists by cursor, one after the other. `held` is what `read`
/// works with; it is shared by all of its calls.
pub(crate) fn pages<C, T, F, Fut>(
    held: C,
    read: F,
) -> impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static
where
    C: Send + Sync + 'static,
    T: Send + 'static,
    F: Fn(Arc<C>, PageRequest) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Page<T>, AppError>> + Send + 'static,
{
    let held = Arc::new(held);
    stream::try_unfold((read, Some(None::<PageKey>)), move |(read, place)| {
        let held = Arc::clone(&held);
        async move {
            let Some(after) = place else { return Ok(None) };
            let page = read(held, PageRequest { after, limit: MAX_LIMIT }).await?;
            Ok(Some((page.items, (read, page.next.map(Some)))))
        }
    })
}

impl<T: Serialize + Send + 'static> WholeList<T> {
    /// Answers with all rows of `pages`. The first pages are read before this returns, so that
    /// a refusal is an ordinary answer.
    pub(crate) async fn of(
        pages: impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static,
    ) -> Result<Self, ApiError> {
        let frame = Frame { open: r#"{"data":["#, close: counters };
        Ok(Self(answer(frame, pages).await?, PhantomData))
    }
}

impl<T: Serialize + Send + 'static> WholeArray<T> {
    /// Answers with all rows of `pages`; see [`WholeList::of`].
    pub(crate) async fn of(
        pages: impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static,
    ) -> Result<Self, ApiError> {
        let frame = Frame { open: "[", close: |_| Ok("]".to_owned()) };
        Ok(Self(answer(frame, pages).await?, PhantomData))
    }
}

fn counters(rows: usize) -> serde_json::Result<String> {
    let pagination = serde_json::to_string(&OffsetPage::of_all(rows))?;
    Ok(format!(r#"],"pagination":{pagination}}}"#))
}

/// What stands before and after the rows.
#[derive(Clone, Copy)]
struct Frame {
    open: &'static str,
    /// What follows this many rows.
    close: fn(usize) -> serde_json::Result<String>,
}

type Pages<T> = Pin<Box<dyn Stream<Item = Result<Vec<T>, ApiError>> + Send>>;

/// A list on its way out.
struct Writing<T> {
    frame: Frame,
    /// What the text begins with, until it has been written.
    open: &'static str,
    /// Rows written.
    rows: usize,
    /// Rows that were read ahead.
    ahead: Vec<T>,
    /// What is still to be read; `None` once the frame was closed.
    rest: Option<Pages<T>>,
}

async fn answer<T: Serialize + Send + 'static>(
    frame: Frame,
    pages: impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    let mut pages: Pages<T> = Box::pin(pages);
    let mut ahead = pages.try_next().await?.unwrap_or_default();
    let second = pages.try_next().await?;
    let is_short = second.is_none();
    ahead.extend(second.into_iter().flatten());
    let rest = if is_short { pages } else { read_ahead(pages) };
    let mut writing = Writing { open: frame.open, frame, rows: 0, ahead, rest: Some(rest) };
    // One page: an ordinary answer, with its length.
    let body = if is_short {
        let mut text = writing.rows_ahead().map_err(|_| ApiError::internal())?;
        text.extend((frame.close)(writing.rows).map_err(|_| ApiError::internal())?.into_bytes());
        Body::from(text)
    } else {
        Body::from_stream(body(writing))
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The same pages, the next of which is read while one is written. Ends with an error if the
/// reading ends without having said that this was all.
fn read_ahead<T: Send + 'static>(mut pages: Pages<T>) -> Pages<T> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let page = pages.try_next().await;
            let is_last = !matches!(page, Ok(Some(_)));
            // Nobody reads on: the caller went away.
            if sender.send(page).await.is_err() || is_last {
                break;
            }
        }
    });
    Box::pin(stream::try_unfold(receiver, async |mut receiver| {
        let page = receiver.recv().await.unwrap_or_else(|| Err(ApiError::internal()))?;
        Ok(page.map(|page| (page, receiver)))
    }))
}

/// The text in chunks, a page each.
fn body<T: Serialize + Send + 'static>(
    writing: Writing<T>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let call = calls::current_id();
    let chunks = stream::try_unfold(writing, async |mut writing| {
        let chunk = writing.chunk().await?;
        Ok::<_, ApiError>(chunk.map(|chunk| (chunk, writing)))
    });
    chunks.map_err(move |failure| {
        tracing::error!(
            request.id = %call, error.code = %failure.code(),
            "A list was broken off: what follows its first rows could not be read"
        );
        io::Error::other("the list was broken off")
    })
}

impl<T: Serialize> Writing<T> {
    /// The next part of the text; `None` after the last.
    async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let text = self.rows_ahead().map_err(|_| ApiError::internal())?;
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
            let Some(rest) = &mut self.rest else { return Ok(None) };
            let Some(page) = rest.try_next().await? else {
                self.rest = None;
                let end = (self.frame.close)(self.rows).map_err(|_| ApiError::internal())?;
                return Ok(Some(end.into()));
            };
            self.ahead = page;
        }
    }

    /// Writes the rows that were read ahead.
    fn rows_ahead(&mut self) -> serde_json::Result<Vec<u8>> {
        let mut text = std::mem::take(&mut self.open).as_bytes().to_vec();
        for row in std::mem::take(&mut self.ahead) {
            if self.rows > 0 {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, &row)?;
            self.rows += 1;
        }
        Ok(text)
    }
}

macro_rules! documented_as {
    ($($name:ident as $shape:ty;)*) => {$(
        impl<T> IntoResponse for $name<T> {
            fn into_response(self) -> Response {
                self.0
            }
        }

        impl<T: JsonSchema + Serialize> OperationOutput for $name<T> {
            type Inner = $shape;

            fn operation_response(ctx: &mut GenContext, op: &mut Operation) -> Option<ResponseDoc> {
                Reply::<$shape>::operation_response(ctx, op)
            }

            fn inferred_responses(
                ctx: &mut GenContext,
                op: &mut Operation,
            ) -> Vec<(Option<Code>, ResponseDoc)> {
                Reply::<$shape>::inferred_responses(ctx, op)
            }
        }
    )*};
}
documented_as! {
    WholeList as Counted<T>;
    WholeArray as Vec<T>;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    /// Pages of two rows each; the page `fails_at` cannot be read.
    fn numbers(
        count: usize,
        fails_at: Option<usize>,
        read: &Arc<AtomicUsize>,
    ) -> impl Stream<Item = Result<Vec<usize>, ApiError>> + use<> {
        let read = Arc::clone(read);
        pages((count, fails_at, read), |held, page| async move {
            let (count, fails_at, read) = &*held;
            let at = read.fetch_add(1, Ordering::SeqCst);
            if Some(at) == *fails_at {
                return Err(AppError::unavailable("the database is gone"));
            }
            let from: usize = page.after.map_or(0, |key| key.id.parse().unwrap());
            let to = (from + 2).min(*count);
            let next =
                (to < *count).then(|| PageKey::new(jiff::Timestamp::UNIX_EPOCH, to.to_string()));
            Ok(Page { items: (from..to).collect(), next })
        })
    }

    async fn text(response: Response) -> Result<String, axum::Error> {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_row_is_there_once_whatever_the_number_of_pages() {
        for count in 0..9 {
            let rows: Vec<usize> = (0..count).collect();
            let list = WholeList::of(numbers(count, None, &Arc::default())).await.unwrap();
            let value: Value = serde_json::from_str(&text(list.0).await.unwrap()).unwrap();
            let counters = json!({"total": count, "limit": count, "offset": 0});
            assert_eq!(value, json!({"data": rows, "pagination": counters}));
            let array = WholeArray::of(numbers(count, None, &Arc::default())).await.unwrap();
            let value: Value = serde_json::from_str(&text(array.0).await.unwrap()).unwrap();
            assert_eq!(value, json!(rows));
        }
    }

    #[tokio::test]
    async fn what_fails_before_the_first_rows_is_an_ordinary_failure() {
        for fails_at in [0, 1] {
            let pages = numbers(9, Some(fails_at), &Arc::default());
            let failure = WholeList::of(pages).await.err().unwrap();
            assert_eq!(failure.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    #[tokio::test]
    async fn f09_a_list_that_is_cut_short_breaks_off() {
        let list = WholeList::of(numbers(9, Some(3), &Arc::default())).await.unwrap();
        assert!(text(list.0).await.is_err());
    }

    #[tokio::test]
    async fn pages_are_read_no_faster_than_they_are_taken() {
        let read = Arc::new(AtomicUsize::new(0));
        let list = WholeList::of(numbers(1000, None, &read)).await.unwrap();
        let mut body = list.0.into_body();
        for taken in 0..5 {
            // Two to know whether the list is short, one that waits to be taken, one in hand.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(read.load(Ordering::SeqCst), 4 + usize::saturating_sub(taken, 1));
            body.frame().await.unwrap().unwrap();
        }
    }
}
