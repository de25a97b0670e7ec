/// The features of network devices (virtio 1.2, 5.1.3).
extension VirtioFeatures {
  /// `VIRTIO_NET_F_CSUM`: the device takes packets whose checksum is not filled in.
  @inlinable public static var netChecksum: Self { Self(bit: 0) }
  /// `VIRTIO_NET_F_GUEST_CSUM`: the driver takes packets whose checksum is not filled in.
  @inlinable public static var netGuestChecksum: Self { Self(bit: 1) }
  /// `VIRTIO_NET_F_CTRL_GUEST_OFFLOADS`: the driver may change what it takes.
  @inlinable public static var netControlOffloads: Self { Self(bit: 2) }
  /// `VIRTIO_NET_F_MTU`: the configuration has the largest packet.
  @inlinable public static var netMTU: Self { Self(bit: 3) }
  /// `VIRTIO_NET_F_MAC`: the configuration has the address.
  @inlinable public static var netMAC: Self { Self(bit: 5) }
  /// `VIRTIO_NET_F_GUEST_TSO4`: the driver takes large TCP segments over IPv4.
  @inlinable public static var netGuestTCP4: Self { Self(bit: 7) }
  /// `VIRTIO_NET_F_GUEST_TSO6`: the driver takes large TCP segments over IPv6.
  @inlinable public static var netGuestTCP6: Self { Self(bit: 8) }
  /// `VIRTIO_NET_F_GUEST_ECN`: the driver takes large TCP segments with congestion notification.
  @inlinable public static var netGuestECN: Self { Self(bit: 9) }
  /// `VIRTIO_NET_F_GUEST_UFO`: the driver takes large UDP datagrams.
  @inlinable public static var netGuestUFO: Self { Self(bit: 10) }
  /// `VIRTIO_NET_F_HOST_TSO4`: the device takes large TCP segments over IPv4.
  @inlinable public static var netHostTCP4: Self { Self(bit: 11) }
  /// `VIRTIO_NET_F_HOST_TSO6`: the device takes large TCP segments over IPv6.
  @inlinable public static var netHostTCP6: Self { Self(bit: 12) }
  /// `VIRTIO_NET_F_HOST_ECN`: the device takes large TCP segments with congestion notification.
  @inlinable public static var netHostECN: Self { Self(bit: 13) }
  /// `VIRTIO_NET_F_HOST_UFO`: the device takes large UDP datagrams.
  @inlinable public static var netHostUFO: Self { Self(bit: 14) }
  /// `VIRTIO_NET_F_MRG_RXBUF`: a packet may be spread over several of the driver's buffers.
  @inlinable public static var netMergeableBuffers: Self { Self(bit: 15) }
  /// `VIRTIO_NET_F_STATUS`: the configuration says whether the link is up.
  @inlinable public static var netStatus: Self { Self(bit: 16) }
  /// `VIRTIO_NET_F_CTRL_VQ`: there is a queue for commands.
  @inlinable public static var netControlQueue: Self { Self(bit: 17) }
  /// `VIRTIO_NET_F_CTRL_RX`: commands choose the packets that are delivered.
  @inlinable public static var netControlReceive: Self { Self(bit: 18) }
  /// `VIRTIO_NET_F_CTRL_VLAN`: commands choose the VLANs that are delivered.
  @inlinable public static var netControlVLAN: Self { Self(bit: 19) }
  /// `VIRTIO_NET_F_CTRL_RX_EXTRA`: more commands of that kind; Linux's name for what the standard
  /// has under `VIRTIO_NET_F_CTRL_RX`.
  @inlinable public static var netControlReceiveExtra: Self { Self(bit: 20) }
  /// `VIRTIO_NET_F_GUEST_ANNOUNCE`: the driver announces itself to the network when told to.
  @inlinable public static var netGuestAnnounce: Self { Self(bit: 21) }
  /// `VIRTIO_NET_F_MQ`: there are several pairs of queues.
  @inlinable public static var netMultiQueue: Self { Self(bit: 22) }
  /// `VIRTIO_NET_F_CTRL_MAC_ADDR`: a command sets the address.
  @inlinable public static var netControlMAC: Self { Self(bit: 23) }
  /// `VIRTIO_NET_F_GUEST_USO4`: the driver takes several UDP datagrams over IPv4 in one (1.3).
  @inlinable public static var netGuestUDP4: Self { Self(bit: 54) }
  /// `VIRTIO_NET_F_GUEST_USO6`: the driver takes several UDP datagrams over IPv6 in one (1.3).
  @inlinable public static var netGuestUDP6: Self { Self(bit: 55) }
  /// `VIRTIO_NET_F_HOST_USO`: the device takes several UDP datagrams in one (1.3).
  @inlinable public static var netHostUDP: Self { Self(bit: 56) }

  /// What a driver may take: the features that `VIRTIO_NET_CTRL_GUEST_OFFLOADS` has bits for, which
  /// are these (5.1.6.5.6).
  @inlinable public static var netGuestOffloads: Self {
    [
      .netGuestChecksum, .netGuestTCP4, .netGuestTCP6, .netGuestECN, .netGuestUFO, .netGuestUDP4,
      .netGuestUDP6,
    ]
  }

  /// Of ``netGuestOffloads``, those with which a packet may be larger than a frame.
  @inlinable public static var netGuestSegments: Self {
    [.netGuestTCP4, .netGuestTCP6, .netGuestUFO, .netGuestUDP4, .netGuestUDP6]
  }

  /// Whether each feature comes with those that it needs (5.1.3.1).
  var areNetFeaturesComplete: Bool {
    let needs: [(VirtioFeatures, VirtioFeatures)] = [
      (.netGuestTCP4, .netGuestChecksum), (.netGuestTCP6, .netGuestChecksum),
      (.netGuestUFO, .netGuestChecksum), (.netGuestUDP4, .netGuestChecksum),
      (.netGuestUDP6, .netGuestChecksum), (.netHostTCP4, .netChecksum),
      (.netHostTCP6, .netChecksum), (.netHostUFO, .netChecksum), (.netHostUDP, .netChecksum),
      (.netControlReceive, .netControlQueue), (.netControlVLAN, .netControlQueue),
      (.netGuestAnnounce, .netControlQueue), (.netMultiQueue, .netControlQueue),
      (.netControlMAC, .netControlQueue), (.netControlOffloads, .netControlQueue),
    ]
    guard needs.allSatisfy({ !contains($0) || contains($1) }) else { return false }
    let guestTCP: VirtioFeatures = [.netGuestTCP4, .netGuestTCP6]
    let hostTCP: VirtioFeatures = [.netHostTCP4, .netHostTCP6]
    return (!contains(.netGuestECN) || !isDisjoint(with: guestTCP))
      && (!contains(.netHostECN) || !isDisjoint(with: hostTCP))
  }
}
