//! A mail with several events → its pieces, each with what the patterns took from it. The work is
//! linear in the mail: what stands outside the pieces is looked up once.

use super::pattern::{Fields, Sheet, Template, format, groups, override_groups};
use crate::limits::{EVENT_LABELS_MAX, MAIL_EVENTS_MAX};
use crate::model::text;
use regex::Regex;

/// What is known of one event of a mail.
pub(super) struct Piece<'a> {
    /// What the patterns took.
    pub fields: Fields,
    /// Labels in the order of the mail.
    pub labels: Vec<(String, String)>,
    /// The text that speaks of it, for people.
    pub text: &'a str,
}

impl<'a> Piece<'a> {
    /// A piece without labels.
    pub(super) fn of(fields: Fields, text: &'a str) -> Piece<'a> {
        Piece {
            fields,
            labels: Vec::new(),
            text,
        }
    }
}

/// Matches of the section patterns: where each ends, and what it took.
type Sections = Vec<Vec<(usize, Fields)>>;

impl Template {
    /// The pieces of a mail; none if the template does not split its mails. At most one more than
    /// [`MAIL_EVENTS_MAX`], so that the caller can tell.
    pub(super) fn pieces<'a>(&self, sheet: &'a Sheet, common: &Fields) -> Vec<Piece<'a>> {
        let Some(each) = &self.layout.each else {
            return Vec::new();
        };
        if let Some(list) = &each.list {
            let list = format(list, common).unwrap_or_default();
            return members(&list, sheet, common);
        }
        let sections = self.sections(&sheet.body);
        match (&self.each.item, &self.each.start) {
            (Some(item), _) => self.items(item, sheet, common, &sections),
            (None, Some(start)) => self.blocks(start, sheet, &sections),
            (None, None) => Vec::new(),
        }
    }

    fn items<'a>(
        &self,
        item: &Regex,
        sheet: &'a Sheet,
        common: &Fields,
        sections: &Sections,
    ) -> Vec<Piece<'a>> {
        let piece = |captures: regex::Captures<'a>| {
            let mut fields = common.clone();
            let at = captures.get(0).map_or(0, |m| m.start());
            nearest(sections, at, &mut fields);
            override_groups(item, &captures, &mut fields);
            self.map(&mut fields);
            Piece::of(fields, sheet.whole)
        };
        item.captures_iter(&sheet.body)
            .take(MAIL_EVENTS_MAX + 1)
            .map(piece)
            .collect()
    }

    fn blocks<'a>(&self, start: &Regex, sheet: &'a Sheet, sections: &Sections) -> Vec<Piece<'a>> {
        let body = sheet.body.as_str();
        let outside = self.outside(sheet);
        let starts: Vec<usize> = start
            .find_iter(body)
            .take(MAIL_EVENTS_MAX + 1)
            .map(|m| m.start())
            .collect();
        let piece = |(number, from): (usize, &usize)| {
            let to = starts.get(number + 1).copied().unwrap_or(body.len());
            let block = body.get(*from..to).unwrap_or("");
            let mut fields = self.fields_of_piece(sheet, &outside, block);
            nearest(sections, *from, &mut fields);
            let labels = self.labels(block);
            for (name, value) in &labels {
                fields.insert(format!("label.{name}"), value.clone());
            }
            self.map(&mut fields);
            Piece {
                fields,
                labels,
                text: if starts.len() > 1 { block } else { sheet.whole },
            }
        };
        starts.iter().enumerate().map(piece).collect()
    }

    fn sections(&self, body: &str) -> Sections {
        let matches = |section: &Regex| {
            let found = |captures: regex::Captures| {
                let mut fields = Fields::new();
                groups(section, &captures, &mut fields);
                (captures.get(0).map_or(0, |m| m.end()), fields)
            };
            let all = section.captures_iter(body).take(MAIL_EVENTS_MAX);
            all.map(found).collect()
        };
        self.each.section.iter().map(matches).collect()
    }

    fn labels(&self, piece: &str) -> Vec<(String, String)> {
        let Some(pattern) = &self.each.labels else {
            return Vec::new();
        };
        let until = self.each.labels_until.as_ref();
        let end = until.and_then(|until| until.find(piece));
        let piece = end.map_or(piece, |end| piece.get(..end.start()).unwrap_or(""));
        pattern
            .captures_iter(piece)
            .take(EVENT_LABELS_MAX)
            .filter_map(|captures| {
                let group = |name| captures.name(name).map(|m| text::one_line(m.as_str()));
                Some((group("name")?, group("value")?))
            })
            .collect()
    }
}

/// One piece for each member of a list.
fn members<'a>(list: &str, sheet: &'a Sheet, common: &Fields) -> Vec<Piece<'a>> {
    list.split([',', ';', '、', '，'])
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .take(MAIL_EVENTS_MAX + 1)
        .map(|item| {
            let mut fields = common.clone();
            fields.insert("item".to_owned(), item.to_owned());
            Piece::of(fields, sheet.whole)
        })
        .collect()
}

/// Adds the fields of the nearest section above `at`, of each pattern.
fn nearest(sections: &Sections, at: usize, fields: &mut Fields) {
    for matches in sections {
        let above = matches.partition_point(|(end, _)| *end <= at);
        let Some((_, found)) = above.checked_sub(1).and_then(|last| matches.get(last)) else {
            continue;
        };
        for (name, value) in found {
            fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}
