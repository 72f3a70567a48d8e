-- What the sandboxes of a project's runs are given: variables, and how much of the internet they reach.
CREATE TABLE sandbox_environments (
    id uuid PRIMARY KEY,
    project_id integer NOT NULL REFERENCES projects (id),
    name text NOT NULL,
    network_access_level text NOT NULL,  -- NetworkAccess
    allowed_domains text[] NOT NULL,
    include_default_domains boolean NOT NULL,
    repositories text[] NOT NULL,
    sealed_variables bytea,  -- a JSON object, encrypted with the operator's secret key; NULL: none
    private boolean NOT NULL,  -- seen by its creator alone
    internal boolean NOT NULL DEFAULT false,  -- in no list
    created_by integer REFERENCES users (id),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX sandbox_environments_newest_first ON sandbox_environments (project_id, created_at DESC, id DESC);
