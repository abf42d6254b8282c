#include "ipc/auth_key.h"

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace brood {
namespace {

template <typename T>
concept Travels = requires {
  Codec<T>::kMinBytes;
};
template <typename T>
concept Streamable = requires(std::ostream& stream, const T& value) {
  stream << value;
};

static_assert(Travels<std::string>);
static_assert(Streamable<std::string> && !Streamable<AuthKey>, "a key must not be printed");

TEST(AuthKeyTest, CannotBeSent) {
  EXPECT_FALSE(Travels<AuthKey>);  // It does not compile.
}

TEST(AuthKeyTest, GeneratedKeysDiffer) {
  const AuthKey a = AuthKey::Generate().value();
  const AuthKey b = AuthKey::Generate().value();
  EXPECT_EQ(a.secret_bytes().size(), 32u);
  EXPECT_FALSE(a == b);
  EXPECT_TRUE(a == AuthKey(a));
}

TEST(AuthKeyTest, RefusesAnEmptyAShortAndALongKeyWithoutPrintingThem) {
  for (const std::string& bytes : {std::string(), std::string(15, 'k'), std::string(65, 'k')}) {
    const absl::Status status = AuthKey::FromBytes(bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bytes.size();
    EXPECT_EQ(status.message().find("kkk"), std::string::npos);
  }
  EXPECT_EQ(AuthKey::FromBytes(std::string(16, 'k')).value().secret_bytes(), std::string(16, 'k'));
}

// First in this process that asks for the current key, so that the threads really race for its making.
TEST(AuthKeyTest, ThreadsThatAskFirstAllGetTheSameKey) {
  std::vector<std::string> seen(8);
  std::vector<std::thread> threads;
  for (std::string& key : seen) {
    threads.emplace_back([&key] { key = std::string(CurrentAuthKey().value().secret_bytes()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& key : seen) EXPECT_EQ(key, seen[0]);
}

TEST(AuthKeyTest, TheKeyThatWasSetLastIsCurrent) {
  for (const char c : {'a', 'b'}) {
    const AuthKey key = AuthKey::FromBytes(std::string(20, c)).value();
    SetCurrentAuthKey(key);
    EXPECT_TRUE(CurrentAuthKey().value() == key);
  }
}

}  // namespace
}  // namespace brood
