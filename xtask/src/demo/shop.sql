-- A shop's database of realistic size: three schemas, fifteen tables, some 130,000 rows. Comments
-- carry tags (key=value), as teams write them.
CREATE SCHEMA sales AUTHORIZATION shop_owner;
CREATE SCHEMA catalog AUTHORIZATION shop_owner;
CREATE SCHEMA warehouse AUTHORIZATION shop_owner;
SET ROLE shop_owner;

CREATE TABLE catalog.categories (
    id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE catalog.products (
    id int PRIMARY KEY, category_id int NOT NULL REFERENCES catalog.categories,
    name text NOT NULL, sku text NOT NULL UNIQUE);
CREATE TABLE catalog.prices (
    product_id int NOT NULL REFERENCES catalog.products, valid_from date NOT NULL,
    cents int NOT NULL, PRIMARY KEY (product_id, valid_from));
CREATE TABLE catalog.reviews (
    id int PRIMARY KEY, product_id int NOT NULL REFERENCES catalog.products,
    stars int NOT NULL CHECK (stars BETWEEN 1 AND 5), words text);

CREATE TABLE sales.customers (
    id int PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, since date NOT NULL);
CREATE TABLE sales.addresses (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES sales.customers,
    street text NOT NULL, city text NOT NULL);
CREATE TABLE sales.orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES sales.customers,
    placed_at timestamptz NOT NULL, state text NOT NULL);
CREATE TABLE sales.order_lines (
    order_id int NOT NULL REFERENCES sales.orders, line int NOT NULL,
    product_id int NOT NULL REFERENCES catalog.products, quantity int NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE sales.payments (
    id int PRIMARY KEY, order_id int NOT NULL REFERENCES sales.orders,
    cents int NOT NULL, card_last_four text NOT NULL);
CREATE TABLE sales.refunds (
    id int PRIMARY KEY, payment_id int NOT NULL REFERENCES sales.payments, reason text);
CREATE TABLE sales.coupons (code text PRIMARY KEY, percent int NOT NULL);

CREATE TABLE warehouse.sites (id int PRIMARY KEY, city text NOT NULL);
CREATE TABLE warehouse.suppliers (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE warehouse.stock (
    site_id int NOT NULL REFERENCES warehouse.sites,
    product_id int NOT NULL REFERENCES catalog.products,
    pieces int NOT NULL, PRIMARY KEY (site_id, product_id));
CREATE TABLE warehouse.movements (
    id int PRIMARY KEY, site_id int NOT NULL REFERENCES warehouse.sites,
    product_id int NOT NULL REFERENCES catalog.products, pieces int NOT NULL,
    moved_at timestamptz NOT NULL);

COMMENT ON SCHEMA sales IS 'team=sales; env=prod';
COMMENT ON SCHEMA warehouse IS 'team=logistics; env=prod';
COMMENT ON TABLE sales.customers IS 'data=personal; env=prod';
COMMENT ON TABLE sales.payments IS 'data=financial; env=prod';
COMMENT ON TABLE sales.orders IS 'data=internal; env=prod';

INSERT INTO catalog.categories SELECT n, 'Category ' || n FROM generate_series(1, 24) n;
INSERT INTO catalog.products
    SELECT n, 1 + n % 24, 'Product ' || n, 'SKU-' || lpad(n::text, 6, '0')
    FROM generate_series(1, 1200) n;
INSERT INTO catalog.prices
    SELECT 1 + n % 1200, date '2025-01-01' + 180 * (n / 1200), 100 + n * 37 % 20000
    FROM generate_series(0, 2399) n;
INSERT INTO catalog.reviews
    SELECT n, 1 + n % 1200, 1 + n % 5, 'Review ' || n FROM generate_series(1, 6000) n;
INSERT INTO sales.customers
    SELECT n, 'customer' || n || '@example.com', 'Customer ' || n, date '2020-01-01' + n % 2000
    FROM generate_series(1, 5000) n;
INSERT INTO sales.addresses
    SELECT n, n, 'Street ' || n, 'City ' || n % 200 FROM generate_series(1, 5000) n;
INSERT INTO sales.orders
    SELECT n, 1 + n % 5000, timestamptz '2025-01-01 00:00Z' + n * interval '26 minutes',
           (ARRAY['paid', 'packed', 'sent', 'returned'])[1 + n % 4]
    FROM generate_series(1, 20000) n;
INSERT INTO sales.order_lines
    SELECT 1 + n / 3, 1 + n % 3, 1 + n % 1200, 1 + n % 4 FROM generate_series(0, 59999) n;
INSERT INTO sales.payments
    SELECT n, n, 500 + n * 13 % 50000, lpad((n * 7 % 10000)::text, 4, '0')
    FROM generate_series(1, 20000) n;
INSERT INTO sales.refunds SELECT n, n * 50, 'Damaged' FROM generate_series(1, 400) n;
INSERT INTO sales.coupons SELECT 'SAVE' || n, 5 + n % 20 FROM generate_series(1, 50) n;
INSERT INTO warehouse.sites SELECT n, 'City ' || n FROM generate_series(1, 4) n;
INSERT INTO warehouse.suppliers SELECT n, 'Supplier ' || n FROM generate_series(1, 80) n;
INSERT INTO warehouse.stock
    SELECT 1 + n % 4, 1 + n / 4, n * 11 % 500 FROM generate_series(0, 4799) n;
INSERT INTO warehouse.movements
    SELECT n, 1 + n % 4, 1 + n % 1200, 1 + n % 30,
           timestamptz '2025-01-01 00:00Z' + n * interval '40 minutes'
    FROM generate_series(1, 12000) n;
RESET ROLE;
ANALYZE;
