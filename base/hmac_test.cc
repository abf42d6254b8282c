#include "base/hmac.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string HexMac(std::string_view key, std::initializer_list<std::string_view> pieces) {
  return absl::BytesToHexString(AsBytes(HmacSha256(key, pieces)));
}

// RFC 4231, 4.2 to 4.8. Case 5 publishes the first 16 bytes only.
TEST(HmacTest, GivesTheCodesOfRfc4231) {
  EXPECT_EQ(HexMac(std::string(20, '\x0b'), {"Hi There"}),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HexMac("Jefe", {"what do ya want for nothing?"}),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexMac(std::string(20, '\xaa'), {std::string(50, '\xdd')}),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(
      HexMac(absl::HexStringToBytes("0102030405060708090a0b0c0d0e0f10111213141516171819"), {std::string(50, '\xcd')}),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  EXPECT_EQ(HexMac(std::string(20, '\x0c'), {"Test With Truncation"}).substr(0, 32),
            "a3b6167473100ee06e0c796c2955552b");
  EXPECT_EQ(HexMac(std::string(131, '\xaa'), {"Test Using Larger Than Block-Size Key - Hash Key First"}),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(
      HexMac(std::string(131, '\xaa'),
             {"This is a test using a larger than block-size key and a larger than block-size data. The key needs "
              "to be hashed before being used by the HMAC algorithm."}),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(HmacTest, PiecesGiveTheSameCodeAsTheWhole) {
  EXPECT_EQ(HexMac("Jefe", {"what do ya ", "", "want for nothing?"}), HexMac("Jefe", {"what do ya want for nothing?"}));
}

TEST(HmacTest, ComparisonSeesEveryByteAndTheLength) {
  const std::string bytes(32, 'x');
  EXPECT_TRUE(EqualInConstantTime(bytes, std::string(bytes)));
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_FALSE(EqualInConstantTime(bytes, bytes.substr(1)));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string other = bytes;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(EqualInConstantTime(bytes, other)) << i;
  }
}

}  // namespace
}  // namespace brood
