//! The tree of paths on which functions were reached.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Totals;

/// A function on one path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The path that leads here; a node comes after its parent.
    pub(super) parent: Option<usize>,
    pub(super) function: usize,
    /// The function is also further out on this path.
    pub(super) is_within: bool,
    pub(super) totals: Totals,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    numbers: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl Paths {
    pub(super) fn number(&mut self, parent: Option<usize>, function: usize) -> usize {
        let Self {
            nodes,
            numbers,
            hasher,
        } = self;
        let key = |node: &Node| (node.parent, node.function);
        let hash = hasher.hash_one((parent, function));
        if let Some(number) =
            numbers.find(hash, |number| key(&nodes[*number]) == (parent, function))
        {
            return *number;
        }
        let mut around = parent;
        let is_within = loop {
            let Some(node) = around.map(|around| &nodes[around]) else {
                break false;
            };
            if node.function == function {
                break true;
            }
            around = node.parent;
        };
        let number = nodes.len();
        nodes.push(Node {
            parent,
            function,
            is_within,
            totals: Totals::default(),
        });
        numbers.insert_unique(hash, number, |number| hasher.hash_one(key(&nodes[*number])));
        number
    }

    pub(super) fn get(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }
}
