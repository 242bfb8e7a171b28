//! One request as the policy sees it.

/// Who is behind a request, guessed from Sec-Fetch-*, Accept and X-Requested-With. It chooses the form
/// of a refusal (401 or 403, page or JSON) and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person who navigates: can be shown a page, can be sent away and come back.
    Navigation,
    /// A page inside a frame: can be shown a page, cannot be sent to an identity provider.
    Frame,
    /// Everything else: scripts, API clients, images, WebSockets.
    Program,
}

/// One request for a protected service.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The request target as the client sent it; `None` where no proxy says which path is asked for.
    pub target: Option<&'a str>,
}
