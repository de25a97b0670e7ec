/// What the host's part of a request's next piece is.
enum NBDTransfer {
  /// So many bytes, straight from or to guest RAM, or none.
  case straight(Int)
  /// So many bytes that are read into a buffer, or written from it.
  case bounced(Int, BounceBuffer)
  /// The blocks of a piece, which are read first.
  case loading(DiskPiece, BounceBuffer)
  /// The same, which are written back.
  case storing(DiskPiece, BounceBuffer)
}
