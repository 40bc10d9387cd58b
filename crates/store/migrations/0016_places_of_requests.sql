-- Where what a request asks for lives: pairs of integration and resource type. Its units say it as
-- well, but they lie apart, and a page of a list would gather them one by one. Neither changes once
-- the request is filed.
ALTER TABLE requests ADD COLUMN places TEXT NOT NULL DEFAULT '[]';
UPDATE requests SET places = COALESCE(
    (SELECT '[' || string_agg('["' || place.integration_id || '","' || place.resource_type || '"]', ',') || ']'
       FROM (SELECT DISTINCT integration_id, resource_type FROM request_units
              WHERE request_units.request_id = requests.id) AS place),
    '[]');
