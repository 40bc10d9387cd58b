-- Flows with conditions that name somebody not known yet are found by what they wait for. Which of
-- those that exist do is not known before each is written again.
INSERT INTO flow_references (flow_id, kind, ref_id)
SELECT f.id, 'waiting', '*' FROM access_flows f;
