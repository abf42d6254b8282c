#include "serialization/codec.h"

#include <bit>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/cord.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

enum class Color : uint8_t { kRed, kBlue = 7 };

struct Point {
  int x = 0;
  std::vector<double> y;
  bool operator==(const Point&) const = default;
};
BROOD_FIELDS(Point, x, y);

struct Tree {
  std::string name;
  std::vector<Tree> children;
  bool operator==(const Tree&) const = default;
};
BROOD_FIELDS(Tree, name, children);

class Account {
 public:
  Account() = default;
  explicit Account(uint64_t id) : id_(id) {}
  bool operator==(const Account&) const = default;

 private:
  friend BROOD_FIELDS(Account, id_);
  uint64_t id_ = 0;
};

struct Empty {
  bool operator==(const Empty&) const = default;
};
BROOD_FIELDS(Empty);

struct Link {
  int value = 0;
  std::unique_ptr<Link> next;
  bool operator==(const Link& other) const {
    return value == other.value && (next == nullptr) == (other.next == nullptr) && (!next || *next == *other.next);
  }
};
BROOD_FIELDS(Link, value, next);

enum Plain : int64_t { kFar = int64_t{1} << 40 };

template <typename T, typename Equal = std::equal_to<T>>
void ExpectRoundTrip(const T& value, std::string_view name, Equal equal = {}) {
  EXPECT_EQ(TypeName<T>(), name);
  const std::string bytes = EncodeValue(value);
  T read{};
  const absl::Status status = DecodeInto(bytes, read);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(equal(read, value)) << name;
  // Every byte counts.
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeInto(std::string_view(bytes).substr(0, size), read).code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(DecodeInto(bytes + 'x', read).ok());
}

TEST(CodecTest, RoundTripsNumbers) {
  ExpectRoundTrip(true, "bool");
  ExpectRoundTrip('a', "char");
  ExpectRoundTrip(std::numeric_limits<int8_t>::min(), "int8");
  ExpectRoundTrip(std::numeric_limits<uint8_t>::max(), "uint8");
  ExpectRoundTrip(std::numeric_limits<int16_t>::min(), "int16");
  ExpectRoundTrip(std::numeric_limits<uint16_t>::max(), "uint16");
  ExpectRoundTrip(std::numeric_limits<int>::min(), "int32");
  ExpectRoundTrip(std::numeric_limits<unsigned>::max(), "uint32");
  ExpectRoundTrip(std::numeric_limits<long>::min(), sizeof(long) == 8 ? "int64" : "int32");  // 32 bits on Windows.
  ExpectRoundTrip(std::numeric_limits<long long>::min(), "int64");
  ExpectRoundTrip(std::numeric_limits<uint64_t>::max(), "uint64");
  ExpectRoundTrip(1.5f, "float");
  ExpectRoundTrip(-std::numeric_limits<double>::infinity(), "double");
  ExpectRoundTrip(std::numeric_limits<double>::denorm_min(), "double");
  ExpectRoundTrip(std::numeric_limits<float>::max(), "float");
  ExpectRoundTrip(Color::kBlue, "enum:uint8");
  ExpectRoundTrip(static_cast<Color>(200), "enum:uint8");  // Has no name, and is a value all the same.
  ExpectRoundTrip(kFar, "enum:int64");
}

// Bit for bit: neither is equal to itself or different from its opposite.
TEST(CodecTest, NotANumberAndMinusZeroKeepTheirBits) {
  for (const uint64_t bits : {0x7ff8000000000123u, 0xfff0000000000001u, 0x8000000000000000u}) {
    EXPECT_EQ(std::bit_cast<uint64_t>(DecodeValue<double>(EncodeValue(std::bit_cast<double>(bits))).value()), bits);
  }
  const std::vector<float> floats = {-0.0f, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> read = DecodeValue<std::vector<float>>(EncodeValue(floats)).value();
  EXPECT_TRUE(std::signbit(read[0]));
  EXPECT_TRUE(std::isnan(read[1]));
}

TEST(CodecTest, RoundTripsContainers) {
  ExpectRoundTrip(std::string("a\0b", 3), "string");
  ExpectRoundTrip(std::vector<uint8_t>{0, 255}, "bytes");
  ExpectRoundTrip(std::vector<std::byte>{std::byte{7}}, "bytes");
  ExpectRoundTrip(std::vector<int>{1, -2, 3}, "vector<int32>");
  ExpectRoundTrip(std::vector<bool>{true, false, true}, "vector<bool>");
  ExpectRoundTrip(std::deque<std::string>{"a", ""}, "vector<string>");
  ExpectRoundTrip(std::list<char>{'x'}, "vector<char>");
  ExpectRoundTrip(std::array<int16_t, 3>{1, 2, 3}, "array<int16,3>");
  ExpectRoundTrip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}, "map<string,vector<int32>>");
  ExpectRoundTrip(std::unordered_map<int, bool>{{1, true}, {2, false}}, "map<int32,bool>");
  ExpectRoundTrip(absl::flat_hash_map<int, int>{{1, 2}}, "map<int32,int32>");
  ExpectRoundTrip(std::set<std::string>{"a", "b"}, "set<string>");
  ExpectRoundTrip(std::unordered_set<uint8_t>{1, 2}, "set<uint8>");
  ExpectRoundTrip(std::string(), "string");
  ExpectRoundTrip(std::vector<std::vector<std::string>>{{}, {"", "a"}}, "vector<vector<string>>");
  ExpectRoundTrip(std::map<std::pair<int, std::string>, std::set<char>>{{{1, "a"}, {'x'}}},
                  "map<pair<int32,string>,set<char>>");
  ExpectRoundTrip(std::array<std::string, 0>{}, "array<string,0>");
}

TEST(CodecTest, RoundTripsComposites) {
  ExpectRoundTrip(std::optional<int>(), "optional<int32>");
  ExpectRoundTrip(std::optional<std::optional<int>>(std::optional<int>()), "optional<optional<int32>>");
  ExpectRoundTrip(std::pair<int, std::string>(1, "a"), "pair<int32,string>");
  ExpectRoundTrip(std::tuple<int, bool, std::string>(1, true, "a"), "tuple<int32,bool,string>");
  ExpectRoundTrip(std::tuple<>(), "none");
  ExpectRoundTrip(std::variant<std::monostate, int, std::string>("a"), "variant<none,int32,string>");
  ExpectRoundTrip(Point{.x = 1, .y = {2.5}}, "Point{x:int32,y:vector<double>}");
  ExpectRoundTrip(Tree{.name = "a", .children = {{.name = "b", .children = {}}}},
                  "Tree{name:string,children:vector<Tree>}");
  ExpectRoundTrip(Account(7), "Account{id_:uint64}");
  ExpectRoundTrip(std::make_unique<int>(7), "optional<int32>", [](const auto& a, const auto& b) { return *a == *b; });
  ExpectRoundTrip(Link{.value = 1, .next = std::make_unique<Link>()}, "Link{value:int32,next:optional<Link>}");
  ExpectRoundTrip(std::vector<Empty>(3), "vector<Empty{}>");
}

TEST(CodecTest, RoundTripsStatusesAndTimes) {
  absl::Status status = absl::NotFoundError("gone");
  status.SetPayload("url", absl::Cord("payload"));
  ExpectRoundTrip(status, "status");
  ExpectRoundTrip(absl::OkStatus(), "status");
  ExpectRoundTrip(absl::StatusOr<int>(7), "status_or<int32>");
  ExpectRoundTrip(absl::StatusOr<int>(status), "status_or<int32>");
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1) / 4, -absl::Nanoseconds(1) / 4, -absl::Milliseconds(1500),
        absl::Hours(1e6), absl::InfiniteDuration(), -absl::InfiniteDuration(), absl::Seconds(int64_t{1} << 62)}) {
    ExpectRoundTrip(duration, "duration");
    ExpectRoundTrip(absl::UnixEpoch() + duration, "time");
  }
}

// A few bytes that announce a great many elements must cost nothing.
TEST(CodecTest, HostileCountsAreRefusedBeforeAllocation) {
  for (const uint64_t count : {uint64_t{5}, uint64_t{1} << 32, ~uint64_t{0}, (~uint64_t{0}) / 8 + 1}) {
    WireWriter writer;
    writer.Number(count);
    writer.Number(uint32_t{0});
    const std::string bytes = writer.Take();
    EXPECT_FALSE(DecodeValue<std::string>(bytes).ok());
    EXPECT_FALSE(DecodeValue<std::vector<uint64_t>>(bytes).ok());
    EXPECT_FALSE(DecodeValue<std::vector<std::string>>(bytes).ok());
    EXPECT_FALSE(DecodeValue<std::vector<Empty>>(bytes).ok());
    EXPECT_FALSE((DecodeValue<std::map<int, int>>(bytes).ok()));
    EXPECT_FALSE(DecodeValue<std::vector<std::tuple<>>>(bytes).ok());
  }
  WireWriter writer;
  writer.Number(uint64_t{1} << 40);
  EXPECT_EQ(DecodeValue<std::vector<int>>(writer.Take()).status().message(),
            "a vector<int32> that announces 1099511627776 elements in 0 bytes");
}

TEST(CodecTest, RefusesValuesThatATypeCannotHold) {
  EXPECT_FALSE(DecodeValue<bool>("\x02").ok());
  EXPECT_FALSE((DecodeValue<std::variant<int, bool>>(std::string(1, '\2') + std::string(8, '\0'))).ok());
  EXPECT_FALSE(DecodeValue<Empty>("x").ok());
  const std::string twice = EncodeValue(std::vector<std::pair<int, int>>{{1, 2}, {1, 3}});
  EXPECT_EQ((DecodeValue<std::map<int, int>>(twice)).status().message(), "a map<int32,int32> that has a key twice");
}

TEST(CodecTest, NestingIsBounded) {
  Tree deep;
  for (int i = 0; i < 1000; ++i) {
    Tree outer;
    outer.children.push_back(std::move(deep));
    deep = std::move(outer);
  }
  EXPECT_EQ(DecodeValue<Tree>(EncodeValue(deep)).status().message(),
            "a Tree{name:string,children:vector<Tree>} that is nested too deep");
}

// Whatever the bytes are, the answer is a value that encodes to them or an error.
TEST(CodecTest, RandomBytesGiveAValueOrAnError) {
  using Everything = std::tuple<std::optional<Point>, std::map<std::string, Tree>, std::variant<bool, absl::Status>,
                                absl::StatusOr<absl::Duration>, std::vector<std::set<int>>>;
  const Everything value(Point{.x = 1, .y = {1, 2}}, {{"k", Tree{.name = "n", .children = {Tree{}}}}},
                         absl::NotFoundError("x"), absl::Seconds(3), {{1, 2}, {}});
  const std::string bytes = EncodeValue(value);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto read = DecodeValue<Everything>(flipped);
    EXPECT_TRUE(read.ok() || !read.status().message().empty());
  }
  std::mt19937 random(42);
  for (int i = 0; i < 2000; ++i) {
    std::string noise(random() % 200, '\0');
    for (char& c : noise) c = static_cast<char>(random() % 4 == 0 ? random() % 256 : 0);
    const auto read = DecodeValue<Everything>(noise);
    EXPECT_TRUE(read.ok() || !read.status().message().empty());
  }
}

}  // namespace
}  // namespace brood
