// Compile-time arithmetic is exact and never wraps; config.json is read as published files are.

#include "frontend/Config.h"
#include "frontend/Parser.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace rondo;

namespace {
struct Evaluated {
  std::string value; // empty after an error
  std::string errors;
};

Evaluated evaluate(const std::string &text) {
  SourceFiles files;
  DiagnosticSink sink;
  auto e = parseExpression(*files.add("test", text), sink);
  ConstResult v;
  if (e)
    v = evaluateConst(
        *e, [](const ast::Expr &n) -> ConstResult { return ConstValue::of(n.text); }, sink);
  return {v ? v->shown() : "", sink.text()};
}
} // namespace

TEST(ConstValue, ArithmeticIsExact) {
  EXPECT_EQ(evaluate("2 + 3 * 4 - 1").value, "13");
  EXPECT_EQ(evaluate("-2^2").value, "-4");
  EXPECT_EQ(evaluate("2^-1").value, "0.5");
  EXPECT_EQ(evaluate("2^3^2").value, "512");
  EXPECT_EQ(evaluate("12 / 4").value, "3");
  EXPECT_EQ(evaluate("10 / 4").value, "2.5");
  EXPECT_EQ(evaluate("-7 % 4").value, "1");
  EXPECT_EQ(evaluate("1 < 2 and not (3 == 4)").value, "true");
  EXPECT_EQ(evaluate("[1, 2, 3][1]").value, "2");
  EXPECT_EQ(evaluate("len([1, 2])").value, "2");
  EXPECT_EQ(evaluate("ceil(7 / 2) + floor(-0.5)").value, "3");
  EXPECT_EQ(evaluate("len(\"ME*-\")").value, "4");
  EXPECT_EQ(evaluate("\"ME*-\"[2] == \"*\"").value, "true");
  EXPECT_EQ(evaluate("where(true, 1, 1 / 0)").value, "1");
  EXPECT_EQ(evaluate("false and 1 / 0 == 1").value, "false");
  EXPECT_EQ(evaluate("none == none").value, "true");
}

TEST(ConstValue, NothingWraps) {
  for (const char *text : {"9223372036854775807 + 1", "-9223372036854775807 - 2",
                           "4611686018427387904 * 2", "3^60", "99999999999999999999"})
    EXPECT_NE(evaluate(text).errors, "") << text;
  EXPECT_NE(evaluate("1 / 0").errors.find("by zero"), std::string::npos);
  EXPECT_NE(evaluate("1 + \"a\"").errors.find("takes numbers"), std::string::npos);
  EXPECT_NE(evaluate("\"M\"[1]").errors.find("element 1 of a string of 1"), std::string::npos);
  EXPECT_NE(evaluate("3[0]").errors.find("only lists and strings"), std::string::npos);
  EXPECT_NE(evaluate("[1][1]").errors.find("element 1 of a list of 1"), std::string::npos);
}

TEST(Config, ReadsWhatPublishedFilesHold) {
  DiagnosticSink sink;
  auto config = Config::parse(R"({"a": {"b": 3, "c": null}, "x.y": 4, "limit": [0.0, Infinity],
                        "tagged": {"__float__": "-Infinity"}, "text": "Infinity and \"NaN\"", "bad": NaN,
                        "architectures": ["One", 2, "Two"]})",
                              "config.json", sink);
  ASSERT_TRUE(config) << sink.text();
  std::string why;
  EXPECT_EQ(config->find("a.b", why)->integer, 3);
  EXPECT_EQ(config->find("x.y", why)->integer, 4);
  EXPECT_EQ(config->find("a.c", why)->kind, ConstValue::None);
  EXPECT_FALSE(config->find("a.b.c", why));
  EXPECT_EQ(why, "");
  EXPECT_EQ(config->find("limit", why)->items[1].number, INFINITY);
  EXPECT_EQ(config->find("tagged", why)->number, -INFINITY);
  EXPECT_TRUE(std::isnan(config->find("bad", why)->number));
  EXPECT_EQ(config->find("text", why)->text, "Infinity and \"NaN\"");
  EXPECT_FALSE(config->find("a", why));
  EXPECT_NE(why, "");
  EXPECT_EQ(config->architectures(), (std::vector<std::string>{"One", "Two"}));
}

TEST(Config, RefusesWhatItCannotRead) {
  for (std::string text : {std::string(""), std::string("[1]"), std::string("{\"a\": }"),
                           std::string("{\"a\": 1e999}"), std::string("{\"a\": \"\xff\xfe\"}"),
                           std::string(300, '['), std::string("{\"a\"")}) {
    DiagnosticSink sink;
    EXPECT_FALSE(Config::parse(text, "config.json", sink)) << text;
    EXPECT_EQ(sink.errors(), 1u) << text;
  }
}

TEST(Suggestions, AreNearAndFew) {
  EXPECT_EQ(nearest("liner", {"linear", "embed", "line"}).front(), "line");
  EXPECT_TRUE(nearest("x", {"y", "z"}).empty());
  EXPECT_TRUE(nearest("gate", {"attention"}).empty());
  EXPECT_EQ(didYouMean("tkoens", {"tokens"}), "; did you mean 'tokens'?");
}
