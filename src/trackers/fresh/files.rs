//! Files of a ticket. One that comes with a create has to be a form, where every field is a text; so
//! they follow in a private note.

use super::{Dialect, Fresh};
use crate::trackers::Attachment;
use crate::trackers::client::send;
use crate::trackers::words::path_part;
use reqwest::Method;
use reqwest::multipart::Form;

impl<D: Dialect> Fresh<D> {
    /// The ticket is there: should this not be done, its text says what was cut, and nothing else is
    /// wrong.
    pub(super) async fn attach(&self, id: &str, files: &[Attachment]) {
        let parts: Vec<_> = files.iter().filter_map(Attachment::part).collect();
        if parts.is_empty() {
            return;
        }
        let mut form = Form::new()
            .text("body", "Files of the alert.")
            .text("private", "true");
        for part in parts {
            form = form.part("attachments[]", part);
        }
        let path = format!("/api/v2/tickets/{}/notes", path_part(id));
        let request = self.base.client.request(Method::POST, &path);
        let _ = send(request.multipart(form)).await;
    }
}
