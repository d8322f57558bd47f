-- The tables of the two peers that keep credits in PostgreSQL, and the one call of the first.
CREATE TABLE accounts (id int PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0), held bigint NOT NULL);
CREATE TABLE generations (
    id bigserial PRIMARY KEY, account int NOT NULL REFERENCES accounts, state text NOT NULL, price bigint NOT NULL,
    request jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE journal (
    id bigserial PRIMARY KEY, account int NOT NULL, generation bigint NOT NULL, kind text NOT NULL,
    credits bigint NOT NULL, held bigint NOT NULL, available_after bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON journal (account, id);
CREATE TABLE idempotency (
    account int NOT NULL, key text NOT NULL, digest text NOT NULL, generation bigint NOT NULL,
    PRIMARY KEY (account, key));
CREATE TABLE jobs (id bigserial PRIMARY KEY, generation bigint NOT NULL, run_at timestamptz NOT NULL DEFAULT now());

-- The generation; null if there are too few credits, or if the key was used for another request.
CREATE FUNCTION create_generation(the_account int, the_key text, the_digest text, the_price bigint, the_request jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE made bigint; digest_then text; after bigint;
BEGIN
    SELECT generation, digest INTO made, digest_then FROM idempotency WHERE account = the_account AND key = the_key;
    IF FOUND THEN RETURN CASE WHEN digest_then = the_digest THEN made END; END IF;
    UPDATE accounts SET available = available - the_price, held = held + the_price
        WHERE id = the_account AND available >= the_price RETURNING available INTO after;
    IF NOT FOUND THEN RETURN NULL; END IF;
    INSERT INTO generations (account, state, price, request)
        VALUES (the_account, 'queued', the_price, the_request) RETURNING id INTO made;
    INSERT INTO journal (account, generation, kind, credits, held, available_after)
        VALUES (the_account, made, 'reserve', -the_price, the_price, after);
    INSERT INTO idempotency VALUES (the_account, the_key, the_digest, made);
    INSERT INTO jobs (generation) VALUES (made);
    RETURN made;
END $$;
