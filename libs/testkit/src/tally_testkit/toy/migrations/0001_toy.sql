-- What the toy service applied: no unique constraint, so that a double application shows.
CREATE TABLE step (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    n integer NOT NULL
);
CREATE TABLE fix (fixed boolean NOT NULL);
