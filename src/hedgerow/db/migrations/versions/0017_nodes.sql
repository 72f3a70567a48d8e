-- A node is lost once its beat stands still for longer than its lease, as others see it: no clock is compared with another one.
ALTER TABLE nodes ADD COLUMN beat bigint NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 30;
