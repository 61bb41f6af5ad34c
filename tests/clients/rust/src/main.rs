// What the Rust crate `clickhouse` reads with its default compression, a line of answer each: reader URL USER PASSWORD
use clickhouse::{Client, Row};
use serde::Deserialize;

#[derive(Row, Deserialize)]
struct Decision {
    asset: String,
    scan_id: i64,
    leverage: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let given: Vec<String> = std::env::args().collect();
    let client = Client::default().with_url(&given[1]).with_user(&given[2]).with_password(&given[3]);
    let rows = client
        .query("SELECT ?fields FROM decisions WHERE scan_id >= ? ORDER BY scan_id")
        .bind(0)
        .fetch_all::<Decision>()
        .await
        .unwrap();
    let whole = rows.iter().all(|row| row.leverage > 0.0 && !row.asset.is_empty());
    println!("decisions {} {} {}", rows.len(), rows.iter().map(|row| row.scan_id).sum::<i64>(), whole);
    let many: Vec<u64> = client.query("SELECT number FROM numbers(100000)").fetch_all().await.unwrap();
    println!("many {}", many.iter().sum::<u64>());
    let refused = client.query("DROP TABLE violet_decisions").execute().await.unwrap_err();
    println!("refused {}", refused.to_string().contains("Code: 164"));
}
