-- Services that a project is connected with, and the secrets that open them.
CREATE TABLE integrations (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    kind text NOT NULL,  -- IntegrationKind
    display_name text NOT NULL,
    config json NOT NULL DEFAULT '{}',  -- what is no secret
    sealed_secret bytea,  -- encrypted with the operator's secret key
    created_by integer REFERENCES users (id),
    created_at timestamptz NOT NULL
);
CREATE INDEX integrations_of_project ON integrations (project_id, kind, id);
