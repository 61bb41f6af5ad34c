// What DBeaver, Metabase and Tableau ask through JDBC, a line of answer each: Main URL USER PASSWORD
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Main {
  static final String FOREVER = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 7 = 3";

  static void count(String what, ResultSet rows) throws SQLException {
    int found = 0;
    while (rows.next()) found++;
    System.out.println(what + " " + found);
  }

  static String first(Statement statement, String query) throws SQLException {
    ResultSet rows = statement.executeQuery(query);
    rows.next();
    return rows.getString(1);
  }

  static void metadata(DatabaseMetaData of) throws SQLException {
    System.out.println("product " + of.getDatabaseProductName() + " " + of.getUserName());
    count("catalogs", of.getCatalogs());
    count("schemas", of.getSchemas());
    count("tables", of.getTables(null, "default", "violet_%", null));
    count("views", of.getTables(null, "default", "decisions", new String[] {"VIEW"}));
    count("columns", of.getColumns(null, "default", "decisions", "%"));
    count("keys", of.getPrimaryKeys(null, "default", "violet_decisions"));
    of.getTypeInfo().close();
    of.getTableTypes().close();
    of.getIndexInfo(null, "default", "violet_decisions", false, false).close();
    of.getFunctions(null, null, "%").close();
  }

  static void cancel(Connection to) throws Exception {
    try (Statement statement = to.createStatement()) {
      Thread later = new Thread(() -> {
        try {
          Thread.sleep(1000);
          statement.cancel();
        } catch (Exception error) {
          System.out.println("cancel: " + error);
        }
      });
      later.start();
      try {
        statement.executeQuery(FOREVER);
        System.out.println("not cancelled");
      } catch (SQLException error) {
        System.out.println("cancelled " + error.getMessage().contains("QUERY_WAS_CANCELLED"));
      }
      later.join();
    }
  }

  public static void main(String[] given) throws Exception {
    Properties login = new Properties();
    login.setProperty("user", given[1]);
    login.setProperty("password", given[2]);
    try (Connection to = DriverManager.getConnection(given[0], login); Statement statement = to.createStatement()) {
      metadata(to.getMetaData());
      System.out.println("decisions " + first(statement, "SELECT count() FROM decisions"));
      System.out.println("sum " + first(statement, "SELECT sum(scan_id) FROM decisions"));
      count("all", statement.executeQuery("SELECT * FROM decisions"));
      System.out.println("bits " + first(statement, "SELECT toUInt64(4603099048211308964)"));
      try (PreparedStatement asked = to.prepareStatement("SELECT asset, count() AS n FROM decisions WHERE asset != ? GROUP BY asset")) {
        ResultSetMetaData shape = asked.getMetaData();
        System.out.println("shape " + shape.getColumnCount() + " " + shape.getColumnName(2) + " " + shape.getColumnTypeName(2));
        asked.setString(1, "none");
        System.out.println("prepared " + asked.executeQuery().next());
      }
      try (Statement few = to.createStatement()) {
        few.setMaxRows(5);
        few.setQueryTimeout(5);
        count("few", few.executeQuery("SELECT number FROM numbers(1000)"));
      }
      to.setSchema("system");
      try (Statement elsewhere = to.createStatement()) {
        System.out.println("schema " + first(elsewhere, "SELECT currentDatabase()"));
      }
      cancel(to);
      try {
        statement.execute("DROP TABLE violet_decisions");
      } catch (SQLException error) {
        System.out.println("refused " + error.getErrorCode());
      }
    }
  }
}
