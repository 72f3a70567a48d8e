-- A person's own account on GitHub, with the token that opens it.
CREATE TABLE github_links (
    id uuid PRIMARY KEY,
    user_id integer NOT NULL UNIQUE REFERENCES users (id),
    account_id bigint NOT NULL,
    login text NOT NULL,
    account_type text NOT NULL,
    name text,
    sealed_token bytea,  -- encrypted with the operator's secret key
    refused_at timestamptz,  -- GitHub took the token no more
    created_at timestamptz NOT NULL
);

-- Tokens that came with a run, kept for a few hours.
CREATE TABLE run_github_tokens (
    run_id uuid PRIMARY KEY REFERENCES runs (id),
    sealed_token bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX run_github_tokens_by_end ON run_github_tokens (expires_at);

-- What is disconnected is named by no task any more. Until now every value but null was refused.
ALTER TABLE tasks
    ADD CONSTRAINT tasks_github_integration FOREIGN KEY (github_integration) REFERENCES integrations (id) ON DELETE SET NULL,
    ADD CONSTRAINT tasks_github_user_integration FOREIGN KEY (github_user_integration) REFERENCES github_links (id) ON DELETE SET NULL;
CREATE INDEX tasks_of_github_integration ON tasks (github_integration) WHERE github_integration IS NOT NULL;
CREATE INDEX tasks_of_github_link ON tasks (github_user_integration) WHERE github_user_integration IS NOT NULL;
