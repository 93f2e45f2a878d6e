-- Every insertion looks here. The first column of the key is enough to find few.
CREATE INDEX _cdc_tombstone_key ON _cdc_tombstone(name, k1)
