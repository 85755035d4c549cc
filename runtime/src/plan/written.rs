//! How the types of `cgroupfs` are written in a plan's JSON.
//!
//! A list of CPUs is the kernel's text, `"0-1,3"`; a limit is a number or
//! `"max"`. `cgroupfs` itself knows nothing of serde: the daemon writes no JSON
//! of these.

/// `Option<CpuList>` as the kernel's text.
pub(super) mod cpu_list {
    use cgroupfs::cpu_list::{CpuList, parse};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        list: &Option<CpuList>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        list.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<CpuList>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse(&text)).transpose().map_err(de::Error::custom)
    }
}

/// `Option<Limit>` as a number or `"max"`.
pub(super) mod limit {
    use cgroupfs::limit::Limit;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Word(String),
    }

    pub(crate) fn serialize<S: Serializer>(
        limit: &Option<Limit>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written = limit.map(|limit| match limit {
            Limit::AtMost(bound) => Written::Number(bound),
            Limit::Unlimited => Written::Word("max".to_owned()),
        });
        written.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Limit>, D::Error> {
        let written = Option::<Written>::deserialize(deserializer)?;
        written
            .map(|written| match written {
                Written::Number(bound) => Ok(Limit::AtMost(bound)),
                Written::Word(word) if word == "max" => Ok(Limit::Unlimited),
                Written::Word(word) => {
                    Err(de::Error::custom(format!("expected a number or \"max\", found {word:?}")))
                }
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use cgroupfs::cpu_list::CpuList;
    use cgroupfs::limit::Limit;

    use crate::plan::Resources;

    #[track_caller]
    fn check(resources: &Resources, json: &str) {
        assert_eq!(serde_json::to_string(resources).unwrap(), json);
        assert_eq!(&serde_json::from_str::<Resources>(json).unwrap(), resources);
    }

    #[test]
    fn resources_are_what_the_kernel_writes() {
        check(
            &Resources {
                memory: Some(512 << 20),
                swap: Some(Limit::Unlimited),
                cpuset: Some(CpuList::first(2)),
                ..Resources::default()
            },
            r#"{"memory":536870912,"swap":"max","cpu_quota_us":null,"cpuset":"0-1","pids":null}"#,
        );
        check(
            &Resources { swap: Some(Limit::AtMost(0)), ..Resources::default() },
            r#"{"memory":null,"swap":0,"cpu_quota_us":null,"cpuset":null,"pids":null}"#,
        );
    }

    #[test]
    fn garbled_values_are_refused() {
        for json in [r#"{"swap":"much"}"#, r#"{"cpuset":"1-0"}"#, r#"{"cpu_quota_us":0}"#] {
            assert!(serde_json::from_str::<Resources>(json).is_err(), "input: {json}");
        }
    }
}
