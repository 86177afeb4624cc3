-- A report reads the cases of one contract.
CREATE INDEX cases_by_contract ON cases (contract, incident);
