-- One row per scheduled flight, in the order of scheduled departure.
-- Inputs are what is known at that moment; late and landed_at are known only after landing.
WITH timed AS (
    SELECT
        *,
        time_hour + to_minutes(minute) AS sched_at,
        date_diff('hour', make_timestamp(year, month, day, hour, 0, 0), time_hour) = 4 AS summer_time
    FROM flights
),
-- Local clock minus UTC in minutes. Destinations that airports.csv lacks are in Puerto Rico and
-- the Virgin Islands: Atlantic time, without summer time.
zoned AS (
    SELECT
        timed.*,
        CASE WHEN summer_time THEN -240 ELSE -300 END AS here_minutes,
        60 * coalesce(tz + CASE WHEN dst = 'A' AND summer_time THEN 1 ELSE 0 END, -4)
            AS there_minutes
    FROM timed
    LEFT JOIN airports ON timed.dest = airports.faa
),
-- Scheduled gate-to-gate minutes: both clocks are local, and an arrival may fall on the next day.
flown AS (
    SELECT
        *,
        (
            sched_arr_time // 100 * 60 + sched_arr_time % 100 - there_minutes
            - (hour * 60 + minute - here_minutes) + 2880
        ) % 1440 AS sched_minutes
    FROM zoned
)
SELECT
    strftime(make_date(flown.year, flown.month, flown.day), '%Y-%m-%d')
        || '/' || carrier || flight || '/' || flown.origin AS flight_id,
    carrier,
    flown.origin,
    dest,
    distance,
    flown.hour,
    minute,
    isodow(make_date(flown.year, flown.month, flown.day)) AS weekday,
    sched_at,
    temp,
    dewp,
    humid,
    wind_dir,
    wind_speed,
    precip,
    pressure,
    visib,
    (flown.year - planes.year)::DOUBLE AS aircraft_age,
    (arr_delay > 15)::TINYINT AS late,
    CASE
        WHEN arr_delay IS NOT NULL
            THEN sched_at + to_minutes((sched_minutes + arr_delay)::BIGINT)
    END AS landed_at
FROM flown
LEFT JOIN weather ON flown.origin = weather.origin AND flown.time_hour = weather.time_hour
LEFT JOIN planes ON flown.tailnum = planes.tailnum
ORDER BY sched_at, flight_id
