//! Lists of a message: capped, and in both forms of the protocol (an array, or `num` and the keys `"0"`, `"1"`, …).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::id::ObjectId;
use crate::limits::ITEMS_MAX;
use crate::reply::Payload;

/// At most `ITEMS_MAX` items.
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_seq(ItemsVisitor(PhantomData))
            .map(Self)
    }
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn items<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Items::deserialize(deserializer).map(|items| items.0)
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {ITEMS_MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            refuse_more_than_allowed(items.len() + 1)?;
            items.push(item);
        }
        Ok(items)
    }
}

fn refuse_more_than_allowed<E: serde::de::Error>(count: usize) -> Result<(), E> {
    if count > ITEMS_MAX {
        return Err(E::custom(format!("more than {ITEMS_MAX} items")));
    }
    Ok(())
}

/// What travels in the numbered form.
pub(super) trait Item: DeserializeOwned {
    /// The key of the same items as an array.
    const LIST: &'static str;
}

impl Item for ObjectId {
    const LIST: &'static str = "ids";
}

impl Item for Payload {
    const LIST: &'static str = "payloads";
}

/// A message with numbered items, and the other fields that such messages have.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    pub(super) items: Vec<T>,
    pub(super) fds: Vec<i32>,
    pub(super) unsafe_: bool,
    pub(super) compress: bool,
    pub(super) use_rdma: bool,
}

impl<'de, T: Item> Deserialize<'de> for Numbered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NumberedVisitor(PhantomData))
    }
}

struct NumberedVisitor<T>(PhantomData<T>);

impl<'de, T: Item> Visitor<'de> for NumberedVisitor<T> {
    type Value = Numbered<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an object with {:?}, or with \"num\" and numbered keys",
            T::LIST
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Numbered<T>, A::Error> {
        let (mut num, mut list, mut numbered) = (None, None::<Items<T>>, Vec::new());
        let (mut fds, mut unsafe_, mut compress, mut use_rdma) = (Vec::new(), false, false, false);
        while let Some(key) = map.next_key::<Key<T>>()? {
            match key {
                Key::Num => num = Some(map.next_value()?),
                Key::List => list = Some(map.next_value()?),
                // Replies carry both forms: one of them is enough.
                Key::Index(index) if list.is_none() => {
                    refuse_more_than_allowed(numbered.len() + 1)?;
                    numbered.push((index, map.next_value()?));
                }
                Key::Fds => fds = map.next_value::<Items<i32>>()?.0,
                Key::Unsafe => unsafe_ = map.next_value()?,
                Key::Compress => compress = map.next_value()?,
                Key::UseRdma => use_rdma = map.next_value()?,
                Key::Index(_) | Key::Other(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let items = match list {
            Some(list) => list.0,
            None => in_order(num.ok_or_else(|| A::Error::missing_field("num"))?, numbered)?,
        };
        Ok(Numbered {
            items,
            fds,
            unsafe_,
            compress,
            use_rdma,
        })
    }
}

/// The items 0 to `num - 1`. What `num` says is believed only after as many items were seen.
fn in_order<T, E: serde::de::Error>(num: u64, mut numbered: Vec<(u64, T)>) -> Result<Vec<T>, E> {
    numbered.sort_by_key(|(index, _)| *index);
    numbered.dedup_by_key(|(index, _)| *index);
    numbered.truncate(usize::try_from(num).unwrap_or(usize::MAX));
    let gap = numbered
        .iter()
        .zip(0..num)
        .find(|((index, _), expected)| index != expected);
    let missing = gap.map_or(numbered.len() as u64, |(_, expected)| expected);
    if missing < num {
        return Err(E::custom(format!(
            "num is {num}, but key \"{missing}\" is missing"
        )));
    }
    Ok(numbered.into_iter().map(|(_, item)| item).collect())
}

enum Key<T> {
    Num,
    List,
    Fds,
    Unsafe,
    Compress,
    UseRdma,
    Index(u64),
    Other(PhantomData<T>),
}

impl<'de, T: Item> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor(PhantomData))
    }
}

struct KeyVisitor<T>(PhantomData<T>);

impl<T: Item> Visitor<'_> for KeyVisitor<T> {
    type Value = Key<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<T>, E> {
        Ok(match key {
            "num" => Key::Num,
            "fds" => Key::Fds,
            "unsafe" => Key::Unsafe,
            "compress" => Key::Compress,
            "use_rdma" => Key::UseRdma,
            _ if key == T::LIST => Key::List,
            _ => index(key).map_or(Key::Other(PhantomData), Key::Index),
        })
    }
}

/// A decimal number as the protocol writes it: "7", never "07" or "+7".
fn index(key: &str) -> Option<u64> {
    let decimal = key.bytes().all(|byte| byte.is_ascii_digit());
    let plain = decimal && (key.len() == 1 || !key.starts_with('0'));
    if plain { key.parse().ok() } else { None }
}
