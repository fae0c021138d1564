-- What a node remembers of its peers: all statements that it saw, who contradicted itself, and which batches it left
-- out; and when batches arrived. All of it is private to a node: none is in a snapshot.

CREATE TABLE receipts (                 -- when the batches of other nodes were merged here
    batch TEXT PRIMARY KEY REFERENCES batches(batch),
    received_at INTEGER NOT NULL
) STRICT;

CREATE TABLE seen_statements (          -- valid statements of other nodes, whoever showed them; the oldest are dropped
    node TEXT NOT NULL,                 -- the node that signed it
    sequence INTEGER NOT NULL,
    digest TEXT NOT NULL,               -- sha256 of the signed part
    statement TEXT NOT NULL,            -- the signed envelope
    source TEXT NOT NULL,               -- the node that showed it first
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (node, sequence, digest)
) STRICT;

INSERT INTO seen_statements (node, sequence, digest, statement, source, seen_at)
    SELECT node, sequence, digest, statement, node, coalesce(synced_at, added_at)
    FROM peers WHERE sequence IS NOT NULL AND digest IS NOT NULL AND statement IS NOT NULL;

CREATE TABLE quarantines (              -- nodes whose statements contradict each other; the evidence is in `forks`
    node TEXT NOT NULL,
    since INTEGER NOT NULL,
    sequence INTEGER NOT NULL,          -- of the contradiction
    reason TEXT NOT NULL,
    source TEXT NOT NULL,               -- the node that showed the second statement
    cleared_at INTEGER,                 -- when a person ended it
    cleared_through INTEGER,            -- contradictions up to this sequence number are part of what was cleared
    PRIMARY KEY (node, since, sequence),
    CHECK ((cleared_at IS NULL) = (cleared_through IS NULL))
) STRICT;

-- Until now, a fork was stored and had no consequence.
INSERT INTO quarantines (node, since, sequence, reason, source)
    SELECT node, min(seen_at), sequence, 'two different statements have the number ' || sequence, node
    FROM forks GROUP BY node, sequence;

CREATE TABLE left_out_batches (         -- batches that a peer publishes and that were not merged: not fetched again
    peer TEXT NOT NULL,                 -- the peer that publishes it
    batch TEXT NOT NULL,                -- sha256 of the batch file
    node TEXT,                          -- the node that it is of, where that is known
    reason TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (peer, batch)
) STRICT;
