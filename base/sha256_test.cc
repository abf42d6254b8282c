#include "base/sha256.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

std::string Hex(const Sha256Digest& digest) {
  return absl::BytesToHexString(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

// The examples of FIPS 180-4 as NIST publishes them, and the long message of its validation suite.
TEST(Sha256Test, GivesTheDigestsThatNistPublishes) {
  EXPECT_EQ(Hex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(
      Hex(Sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                 "mnopqrstnopqrstu")),
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(Hex(Sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Every length around the block's end takes another way through the padding.
TEST(Sha256Test, PiecesGiveTheSameDigestAsTheWhole) {
  const std::string text(200, 'x');
  for (size_t size = 0; size <= text.size(); ++size) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{63}, size_t{64}, size_t{65}}) {
      Sha256Hasher hasher;
      for (size_t at = 0; at < size; at += piece) hasher.Update(text.substr(at, std::min(piece, size - at)));
      ASSERT_EQ(Hex(hasher.Finish()), Hex(Sha256(text.substr(0, size)))) << size << " in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace brood
