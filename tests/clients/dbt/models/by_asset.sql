select asset, count() as n, avg(leverage) as leverage
from {{ source('journal', 'decisions') }}
group by asset
