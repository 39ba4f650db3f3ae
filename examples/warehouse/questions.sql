-- Five questions of a theatre, for DuckDB (`duckdb box_office.duckdb < questions.sql`) and PostgreSQL (`psql -f
-- questions.sql`). A sum is NULL if an amount in it is not known. Months are in UTC. `unread` says what is missing.

SET search_path = 'ticketsource';

-- 1. Sales by month, by the day of each line: a refund counts in the month in which it was made.
SELECT
    CAST(date_trunc('month', created_at AT TIME ZONE 'UTC') AS DATE) AS month,
    count(DISTINCT booking_id) AS bookings,
    CASE WHEN count(gross) = count(*) THEN round(sum(gross), 2) END AS gross,
    CASE WHEN count(CASE WHEN is_refund IS NULL OR (is_refund AND gross IS NULL) THEN 1 END) = 0
        THEN round(sum(CASE WHEN is_refund THEN gross ELSE 0 END), 2) END AS refunds,
    CASE WHEN count(net) = count(*) THEN round(sum(net), 2) END AS net,
    count(*) - count(gross) AS lines_without_gross
FROM booking_lines
GROUP BY 1
ORDER BY 1;

-- 2. Who came twice: customers with tickets, not all refunded, for two dates that were over and not cancelled.
SELECT c.id, c.first_name, c.last_name, c.email, count(DISTINCT d.id) AS dates, max(d.start) AS last_date
FROM customers AS c
JOIN bookings AS b ON b.customer_id = c.id
JOIN dates AS d ON d.id = b.date_id
WHERE c._dlt_valid_to IS NULL
    AND d.start < d.read_at
    AND d.cancelled IS NOT TRUE
    AND b.id IN (
        SELECT booking_id FROM booking_lines WHERE line_type = 'TICKETS'
        GROUP BY booking_id HAVING count(CASE WHEN is_refund THEN 1 END) = 0 OR sum(gross) > 0
    )
GROUP BY c.id, c.first_name, c.last_name, c.email
HAVING count(DISTINCT d.id) >= 2
ORDER BY dates DESC, c.id;

-- 3. Lapsed members, without people who are members in another record with the same e-mail. Check their consent.
-- Erased people are left out: their fields are empty, but a consent may still be yes.
SELECT c.id, c.first_name, c.last_name, c.email, c.membership_identifier, c.membership_end_date, c.consent_email
FROM customers AS c
WHERE c._dlt_valid_to IS NULL
    AND c.membership_end_date < current_date
    AND concat(c.first_name, c.last_name, c.email, c.telephone, c.address_line_1, c.address_postcode) <> ''
    AND NOT EXISTS (
        SELECT 1 FROM customers AS other
        WHERE other._dlt_valid_to IS NULL
            AND lower(other.email) = lower(c.email)
            AND other.membership_end_date >= current_date
    )
ORDER BY c.membership_end_date DESC, c.id;

-- 4. The share of customers with consent, in per cent. An unknown consent is no consent. Erased people are left out.
SELECT
    count(*) AS customers,
    round(100.0 * count(CASE WHEN consent_email THEN 1 END) / NULLIF(count(*), 0), 1) AS email,
    round(100.0 * count(CASE WHEN consent_post THEN 1 END) / NULLIF(count(*), 0), 1) AS post,
    round(100.0 * count(CASE WHEN consent_sms THEN 1 END) / NULLIF(count(*), 0), 1) AS sms
FROM customers
WHERE _dlt_valid_to IS NULL
    AND concat(first_name, last_name, email, telephone, address_line_1, address_postcode) <> '';

-- 5. Seats sold and cancelled by price category, after a run with --seats.
SELECT
    price_category,
    count(CASE WHEN is_booked AND NOT is_cancelled THEN 1 END) AS sold,
    count(CASE WHEN is_cancelled THEN 1 END) AS cancelled,
    count(CASE WHEN is_cancelled IS NULL OR (is_booked IS NOT TRUE AND NOT is_cancelled) THEN 1 END) AS unknown
FROM seats
GROUP BY 1
ORDER BY 1;
