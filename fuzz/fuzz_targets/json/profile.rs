//! A reader of the used parts of pprof's profiles: a message consists of fields, a field of a number and
//! a value, and packed numbers follow one another.

use std::collections::BTreeMap;
use std::io::Read as _;

/// A profile: the names of its figures, and for each sample the functions, the innermost first, with the
/// figures.
pub struct Profile {
    pub figures: Vec<String>,
    pub samples: Vec<(Vec<String>, Vec<i64>)>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("one more byte of a number");
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number of more than 64 bits");
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(value)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn messages(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(bytes).into_iter();
    let values = fields.filter(|(field, _)| *field == number);
    values
        .map(|(_, value)| match value {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => panic!("a number for a message"),
        })
        .collect()
}

fn numbers(bytes: &[u8], number: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    for (_, value) in fields(bytes)
        .into_iter()
        .filter(|(field, _)| *field == number)
    {
        match value {
            Value::Number(value) => numbers.push(value),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    numbers.push(varint(&mut packed));
                }
            }
        }
    }
    numbers
}

/// Returns a field's number; 0 if the field is missing.
fn number(bytes: &[u8], which: u64) -> u64 {
    numbers(bytes, which).last().copied().unwrap_or(0)
}

pub fn read(compressed: &[u8]) -> Profile {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut bytes)
        .expect("gzip");
    let texts: Vec<_> = { messages(&bytes, 6).into_iter() }
        .map(|text| std::str::from_utf8(text).expect("UTF-8"))
        .collect();
    assert_eq!(texts[0], "");
    let text = |number: u64| texts[usize::try_from(number).unwrap()].to_owned();
    let functions: BTreeMap<_, _> = { messages(&bytes, 5).into_iter() }
        .map(|function| (number(function, 1), text(number(function, 2))))
        .collect();
    let locations: BTreeMap<_, _> = { messages(&bytes, 4).into_iter() }
        .map(|location| {
            let lines = messages(location, 4);
            assert_eq!(lines.len(), 1);
            (number(location, 1), functions[&number(lines[0], 1)].clone())
        })
        .collect();
    let figures = messages(&bytes, 1).into_iter();
    let samples = messages(&bytes, 2).into_iter();
    Profile {
        figures: figures.map(|figure| text(number(figure, 1))).collect(),
        samples: samples
            .map(|sample| {
                let stack = numbers(sample, 1).into_iter();
                let values = numbers(sample, 2).into_iter();
                (
                    stack.map(|location| locations[&location].clone()).collect(),
                    values.map(u64::cast_signed).collect(),
                )
            })
            .collect(),
    }
}
