"""What the model sees of a flight, with how late its route was in the first quarter of 2013."""

import numpy as np
import pandas as pd

CATEGORIES = ["carrier", "origin", "dest"]
MEASURES = [
    "distance",
    "weekday",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "aircraft_age",
]

# Carrier and origin, then each destination with the per cent of its flights that came in late.
_HISTORY = """
9E EWR CVG13 DTW31 MSP0
9E JFK ATL17 AUS50 BNA24 BOS15 BUF21 BWI28 CHS14 CLE38 CLT30 CMH0 CVG30 DCA15 DFW23 DTW32
9E JFK IAD26 IND22 JAX26 MCI27 MEM0 MKE17 MSP20 MSY25 ORD30 ORF20 PHL28 PIT21 RDU29 RIC24
9E JFK ROC20 SAT15 SYR24
9E LGA CLE50 CVG20 DAY10 GRR11 MHT0 RIC21 SDF14 TYS27
AA EWR DFW23 LAX16 MIA20
AA JFK AUS45 BOS17 DFW18 EGE34 FLL14 LAS20 LAX13 MCO17 MIA19 ORD20 SAN26 SEA15 SFO23 SJU23
AA JFK STT16 TPA26
AA LGA DFW18 MIA15 ORD18 STL11
AS EWR SEA20
B6 EWR BOS21 FLL24 MCO26 PBI35 RSW11 SJU16 TPA32
B6 JFK AUS33 BOS21 BQN23 BTV25 BUF25 BUR22 CHS23 CLT35 DEN24 FLL29 HOU36 IAD26 JAX26 LAS21
B6 JFK LAX14 LGB24 MCO24 MSY31 OAK24 ORD30 PBI32 PDX23 PHX24 PIT34 PSE20 PWM29 RDU31 ROC28
B6 JFK RSW28 SAN26 SEA24 SFO16 SJC15 SJU21 SLC34 SMF42 SRQ19 SYR25 TPA34
B6 LGA FLL31 MCO35 PBI38 RSW23 SRQ33 TPA36
DL EWR ATL17 DTW17 MSP0 SLC16
DL JFK ATL12 AUS19 BNA0 BOS11 DCA0 DEN15 DTW8 FLL16 LAS11 LAX11 MCO8 MIA15 MSP0 MSY9 PDX7
DL JFK PHX9 RSW11 SAN8 SAT17 SEA10 SFO8 SJU6 SLC10 STT0 TPA9
DL LGA ATL14 BUF0 CVG0 DEN21 DTW13 EYW50 FLL28 MCI12 MCO24 MEM13 MIA24 MSP16 MSY16 PBI23
DL LGA PIT11 PWM15 RSW20 SRQ12 TPA22
EV EWR ALB37 ATL34 AVL50 BDL27 BNA38 BOS12 BTV34 BUF31 BWI43 CAE60 CHS40 CLT45 CMH38 CVG41
EV EWR DAY44 DCA44 DSM60 DTW28 GRR50 GSO39 GSP47 IAD36 IND34 JAX42 MCI49 MEM45 MHT32 MKE41
EV EWR MSN50 MSP32 MSY37 MYR28 OKC53 OMA45 ORF36 PHL32 PIT34 PVD41 PWM41 RDU36 RIC47 ROC34
EV EWR SAV38 SDF37 STL42 SYR22 TUL54 TYS53 XNA32
EV JFK IAD26
EV LGA ATL100 BGR0 BHM29 BNA5 BTV21 BUF8 CHO27 CHS40 CLE44 CLT17 CVG25 DFW0 DTW27 GSO22
EV LGA IAD25 JAX16 MEM18 MSN29 ORF38 PBI80 PIT18 PWM13 RDU8 ROC0 SAV20 SYR50
F9 LGA DEN35
FL LGA ATL23 CAK23 MKE15
HA JFK HNL11
MQ EWR ORD21
MQ JFK BNA24 BWI14 CLE20 CMH34 CVG22 DCA21 IND18 ORF20 PIT25 RDU26
MQ LGA ATL25 BNA23 CLE16 CLT27 CMH18 CRW36 DTW20 MSP26 RDU19 XNA26
OO LGA ORD100
UA EWR ATL15 AUS21 BOS17 BQN26 BZN25 CLE13 CLT50 DEN24 DFW19 EGE11 FLL26 HDN8 HNL29 IAH24
UA EWR JAC38 LAS17 LAX21 MCO17 MIA22 MSY31 MTJ17 ORD20 PBI20 PDX35 PHX17 RSW16 SAN21 SAT21
UA EWR SEA26 SFO18 SJU16 SNA15 STT22 TPA18
UA JFK LAX17 SFO18
UA LGA CLE11 DEN18 IAH19 ORD22
US EWR CLT18 PHX13
US JFK CLT21 PHL12 PHX17
US LGA BOS12 CLT16 DCA16 PHL23
VX JFK LAS4 LAX9 PSP8 SFO10
WN EWR AUS9 BNA2 BWI15 DEN30 HOU24 MDW22 MSY22 PHX22 STL20
WN LGA BNA23 BWI7 DEN14 MDW19 MKE12 STL17
YV LGA IAD25
"""
_USUAL = 23.0


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """One row of features for each row of `frame`, whatever the other rows are."""
    made = {name: frame[name].to_numpy(dtype=object) for name in CATEGORIES}
    made |= {name: _numbers(frame, name) for name in MEASURES}
    direction = np.deg2rad(_numbers(frame, "wind_dir"))
    made["departure"] = _numbers(frame, "hour") * 60 + _numbers(frame, "minute")
    made["dew_spread"] = made["temp"] - made["dewp"]
    made["wind_north"] = made["wind_speed"] * np.cos(direction)
    made["wind_east"] = made["wind_speed"] * np.sin(direction)
    routes = zip(*(made[name] for name in CATEGORIES), strict=True)
    made["route_late"] = np.array([_route_late(*route) for route in routes], dtype=np.float64)
    return pd.DataFrame(made, index=frame.index)


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _routes() -> dict[tuple[str, str, str], float]:
    lines = (line.split() for line in _HISTORY.strip().splitlines())
    return {
        (carrier, origin, item[:3]): float(item[3:])
        for carrier, origin, *items in lines
        for item in items
    }


_ROUTES = _routes()
_CARRIERS = {carrier for carrier, _, _ in _ROUTES}
_AIRPORTS = {airport for _, *airports in _ROUTES for airport in airports}


def _route_late(carrier: str, origin: str, dest: str) -> float:
    if carrier not in _CARRIERS or origin not in _AIRPORTS or dest not in _AIRPORTS:
        return _USUAL
    return _ROUTES[carrier, origin, dest]
