//! The words of service levels in the languages of contracts. Keys in storage, API and metrics are
//! the English keys, always; words are chosen by the contract's locale on output, and recognised in
//! any language on input.

/// A contract's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
    /// French.
    Fr,
}

impl Locale {
    /// From `en`, `ja` or `fr`; English for all else, which the configuration refuses.
    pub fn from_word(word: &str) -> Locale {
        match word {
            "ja" => Locale::Ja,
            "fr" => Locale::Fr,
            _ => Locale::En,
        }
    }

    /// The word in configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Ja => "ja",
            Locale::Fr => "fr",
        }
    }
}

/// One word: key, English, Japanese, French, other spellings that are accepted.
type Term = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// What contracts, tickets and mails speak of.
#[rustfmt::skip]
const TERMS: &[Term] = &[
    ("incident", "incident", "インシデント", "incident", &[]),
    ("provisioning", "provisioning", "プロビジョニング", "provisionnement", &[]),
    ("inquiry", "inquiry", "問い合わせ", "renseignement", &["demande générale", "enquiry"]),
    ("request", "request", "リクエスト", "demande", &[]),
    ("ticket", "ticket", "チケット", "ticket", &[]),
    ("case", "case", "ケース", "ticket", &[]),
    ("severity", "severity", "深刻度", "gravité", &["重大度"]),
    ("severity_level", "severity level", "深刻度レベル", "niveau de gravité", &["重大度レベル"]),
    ("priority", "priority", "優先度", "priorité", &["優先順位"]),
    ("impact", "impact", "影響度", "impact", &[]),
    ("initial_response", "initial response", "初期応答", "réaction initiale", &["初期対応", "réponse initiale"]),
    ("triage", "triage", "トリアージ", "tri", &[]),
    ("engineer", "engineer response", "エンジニア対応", "prise en charge par un ingénieur", &[]),
    ("update", "update", "更新", "mise à jour", &[]),
    ("update_frequency", "update frequency", "更新頻度", "fréquence des mises à jour", &[]),
    ("restore", "restore", "復旧", "restauration", &[]),
    ("time_to_restore", "time to restore", "復旧までの時間", "délai de restauration", &[]),
    ("target", "target", "目標", "cible", &["délais ciblés"]),
    ("business_hours", "business hours", "営業時間内", "heures ouvrables", &[]),
    ("local_business_hours", "local business hours", "営業時間", "heures d'ouverture", &[]),
    ("minutes", "minutes", "分", "minutes", &[]),
    ("hours", "hours", "時間", "heures", &[]),
    ("service_loss", "service loss", "サービスの損失", "perte de service", &[]),
    ("degraded", "degraded", "低下", "dégradé", &[]),
    ("redundancy_lost", "redundancy lost", "冗長性の喪失", "redondance perdue", &[]),
    ("intermittent", "intermittent", "断続的", "intermittence", &["intermittent"]),
    ("workaround", "workaround", "回避策", "contournement", &[]),
    ("repair", "repair", "修理", "réparation", &[]),
    ("diagnosis", "diagnosis", "診断", "diagnostic", &[]),
    ("escalation", "escalation", "エスカレーション", "escalade", &[]),
    ("escalation_level", "escalation level", "エスカレーションレベル", "niveau d'escalade", &[]),
    ("escalation_path", "escalation path", "エスカレーションパス", "circuit hiérarchique", &[]),
    ("upgrade", "upgrade", "アップグレード", "augmenter", &[]),
    ("downgrade", "downgrade", "ダウングレード", "diminuer", &[]),
    ("more_information", "additional information", "追加情報", "informations supplémentaires", &[]),
    ("customer", "customer", "お客様", "client", &[]),
    ("partner", "partner", "パートナー", "partenaire", &[]),
    ("support", "support", "サポート", "assistance", &[]),
    ("waiting", "waiting", "待機中", "en attente", &[]),
    ("due", "due", "期限", "échéance", &[]),
    ("breached", "breached", "期限超過", "dépassé", &["overdue"]),
    ("missed", "missed", "未達", "manqué", &[]),
    ("at_risk", "at risk", "期限間近", "à risque", &[]),
    ("met", "met", "達成", "respecté", &[]),
    ("void", "not counted", "対象外", "non compté", &[]),
    ("running", "running", "計測中", "en cours", &[]),
    ("paused", "paused", "一時停止", "en pause", &[]),
    ("false_alarm", "false alarm", "誤報", "fausse alerte", &[]),
    ("maintenance", "maintenance", "メンテナンス", "maintenance", &[]),
];

/// What only the report says.
#[rustfmt::skip]
const REPORT: &[Term] = &[
    ("report", "Service level report", "サービスレベル報告書", "Rapport de niveau de service", &[]),
    ("contract", "contract", "契約", "contrat", &[]),
    ("policy", "policy", "ポリシー", "politique", &[]),
    ("period", "period", "期間", "période", &[]),
    ("generated", "generated", "作成日時", "généré le", &[]),
    ("zone_data", "time zone data", "タイムゾーンデータ", "données de fuseaux horaires", &[]),
    ("calendars", "calendars", "カレンダー", "calendriers", &[]),
    ("holidays", "holidays in the period", "期間中の休日", "jours fériés de la période", &[]),
    ("none", "none", "なし", "aucun", &[]),
    ("summary", "Targets", "目標", "Cibles", &[]),
    ("judged", "judged", "判定数", "jugés", &[]),
    ("retroactive", "retroactive", "遡及", "rétroactif", &[]),
    ("found_late", "found late", "後日判明", "découvert tard", &[]),
    ("compliance", "compliance", "達成率", "conformité", &[]),
    ("objective", "objective", "目標率", "objectif", &[]),
    ("per_day", "Opened and closed by day", "日別の新規と完了", "Ouverts et clos par jour", &[]),
    ("used", "Share of the target used", "目標に対する使用率", "Part de la cible utilisée", &[]),
    ("counted", "counted time", "計測時間", "temps compté", &[]),
    ("wall", "wall time", "実時間", "temps réel", &[]),
    ("lateness", "lateness", "超過時間", "retard", &[]),
    ("longest_lateness", "longest lateness", "最長超過", "plus long retard", &[]),
    ("reason", "reason", "理由", "motif", &[]),
    ("updates", "Updates", "更新", "Mises à jour", &[]),
    ("on_time", "on time", "期限内", "à temps", &[]),
    ("late", "late", "遅延", "en retard", &[]),
    ("longest_gap", "longest gap", "最長間隔", "plus long intervalle", &[]),
    ("promises_made", "promises made", "約束数", "promesses faites", &[]),
    ("promises_kept", "promises kept", "約束履行数", "promesses tenues", &[]),
    ("volume", "Volume", "件数", "Volume", &[]),
    ("opened", "opened", "新規", "ouverts", &[]),
    ("closed", "closed", "完了", "clos", &[]),
    ("carried_over", "carried over", "繰越", "reportés", &[]),
    ("age", "age", "経過時間", "âge", &[]),
    ("rebuilt", "rebuilt from the ticket, approximate", "チケットから復元（概算）", "reconstitué d'après le ticket, approximatif", &[]),
    ("approximate", "approximate", "概算", "approximatif", &[]),
    ("alerts_received", "alerts received", "受信アラート", "alertes reçues", &[]),
    ("alerts_deduplicated", "deduplicated", "重複排除", "dédupliquées", &[]),
    ("alerts_suppressed", "suppressed", "抑制", "supprimées", &[]),
    ("false_alarms", "false alarms", "誤報数", "fausses alertes", &[]),
    ("reopened", "reopened", "再開", "rouverts", &[]),
    ("merged", "merged", "統合", "fusionnés", &[]),
    ("raised", "severity raised", "深刻度上昇", "gravité augmentée", &[]),
    ("lowered", "severity lowered", "深刻度低下", "gravité diminuée", &[]),
    ("waits", "Waiting for the customer", "お客様待ち", "Attente du client", &[]),
    ("excluded_hours", "hours excluded", "除外時間", "heures exclues", &[]),
    ("share_of_restore", "share of the restore time", "復旧時間に占める割合", "part du délai de restauration", &[]),
    ("longest_waits", "longest waits", "最長待機", "plus longues attentes", &[]),
    ("without_question", "without a question", "質問なし", "sans question", &[]),
    ("escalations", "Escalations", "エスカレーション", "Escalades", &[]),
    ("level", "level", "レベル", "niveau", &[]),
    ("slow", "not quick enough", "対応遅延", "pas assez rapide", &[]),
    ("expectations", "not meeting expectations", "期待未達", "attentes non satisfaites", &[]),
    ("tickets", "Tickets", "チケット", "Tickets", &[]),
    ("category", "category", "分類", "catégorie", &[]),
    ("first_severity", "first severity", "当初の深刻度", "première gravité", &[]),
    ("final_severity", "final severity", "最終深刻度", "gravité finale", &[]),
    ("source", "source", "発生元", "source", &[]),
    ("reported", "reported", "報告", "signalé", &[]),
    ("ticket_created", "ticket created", "チケット作成", "ticket créé", &[]),
    ("first_answer", "first answer", "初回回答", "première réponse", &[]),
    ("restored", "restored", "復旧", "restauré", &[]),
    ("verdict", "verdict", "判定", "verdict", &[]),
    ("outcome", "outcome", "結果", "issue", &[]),
    ("corrections", "Corrections of earlier months", "過去月の訂正", "Corrections des mois précédents", &[]),
    ("open", "open", "未完了", "ouvert", &[]),
    ("transient", "transient", "一時的", "transitoire", &[]),
    ("planned", "planned", "計画作業", "planifié", &[]),
    ("test", "test", "テスト", "test", &[]),
    ("month", "month", "月", "mois", &[]),
    ("resolved_by_monitoring", "resolved by monitoring", "監視による解決", "résolu par la supervision", &[]),
    ("withdrawn", "withdrawn", "取り下げ", "retiré", &[]),
    ("recategorised", "recategorised", "分類変更", "recatégorisé", &[]),
    ("auto_resolved", "cleared before an answer was due", "回答期限前に復旧", "rétabli avant l'échéance", &[]),
    ("superseded", "a worse period followed", "悪化により終了", "suivi d'une période plus grave", &[]),
];

fn find(key: &str) -> Option<&'static Term> {
    TERMS.iter().chain(REPORT).find(|(known, ..)| *known == key)
}

/// The word for a key in a language; the key itself if it has none.
pub fn label(locale: Locale, key: &str) -> &str {
    match find(key) {
        Some((_, en, ja, fr, _)) => match locale {
            Locale::En => en,
            Locale::Ja => ja,
            Locale::Fr => fr,
        },
        None => key,
    }
}

/// The key of a word in any of the languages, as people write it.
pub fn recognise(text: &str) -> Option<&'static str> {
    let wanted = folded(text);
    TERMS
        .iter()
        .find(|(key, en, ja, fr, also)| {
            [key, en, ja, fr]
                .into_iter()
                .chain(also.iter())
                .any(|word| folded(word) == wanted)
        })
        .map(|(key, ..)| *key)
}

/// A duration for people: `48 business hours`, `30 minutes`.
pub fn duration(locale: Locale, seconds: i64, business: bool) -> String {
    let (number, unit) = if seconds % 3600 == 0 && seconds != 0 {
        (seconds / 3600, "hours")
    } else {
        (seconds / 60, "minutes")
    };
    let word = label(locale, unit);
    match locale {
        Locale::Ja if business => format!("営業時間内の{number}{word}"),
        Locale::Ja => format!("{number}{word}"),
        Locale::Fr if business => format!("{number} {word} ouvrables"),
        Locale::En if business => format!("{number} business {word}"),
        _ => format!("{number} {word}"),
    }
}

/// Case, the full-width forms of Latin letters and digits, half-width katakana's blanks and runs of
/// blanks make no difference; the apostrophe of typesetters is the typewriter's.
fn folded(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{202f}' | '_' => ' ',
        '\u{2019}' => '\'',
        other => other,
    };
    let lower: String = text
        .chars()
        .map(narrow)
        .flat_map(char::to_lowercase)
        .collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_is_there_once_and_in_every_language() {
        let mut seen = BTreeSet::new();
        for (key, en, ja, fr, _) in TERMS.iter().chain(REPORT) {
            assert!(seen.insert(*key), "{key} twice");
            assert!(![en, ja, fr].iter().any(|word| word.is_empty()), "{key}");
        }
        for target in crate::sla::TargetName::ALL {
            assert!(seen.contains(target.word()));
        }
    }

    #[test]
    fn people_write_words_in_many_ways() {
        assert_eq!(recognise("重大度"), Some("severity"));
        assert_eq!(recognise("Réponse  Initiale"), Some("initial_response"));
        assert_eq!(
            recognise("Ｓｅｖｅｒｉｔｙ　ｌｅｖｅｌ"),
            Some("severity_level")
        );
        assert_eq!(recognise("niveau d’escalade"), Some("escalation_level"));
        assert_eq!(recognise("weather"), None);
    }

    #[test]
    fn durations_are_said_as_contracts_say_them() {
        assert_eq!(duration(Locale::En, 172_800, true), "48 business hours");
        assert_eq!(duration(Locale::Fr, 172_800, true), "48 heures ouvrables");
        assert_eq!(duration(Locale::Ja, 172_800, true), "営業時間内の48時間");
        assert_eq!(duration(Locale::En, 900, false), "15 minutes");
        assert_eq!(label(Locale::Fr, "no such key"), "no such key");
    }
}
