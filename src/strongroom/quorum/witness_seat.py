"""The witness at a custodian's side: its key is drawn when it is first asked for, and sealed."""

from strongroom.clock import Clock
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Database
from strongroom.ids import Token
from strongroom.ledger import Witness
from strongroom.quorum import store
from strongroom.quorum.roster import Member
from strongroom.quorum.witness_card import WitnessCard


class WitnessSeat:
    """Where a custodian's witness sits: made once, in the custodian's own database."""

    def __init__(
        self,
        database: Database,
        safe: store.RowSeal,
        member: Member,
        identity_seed: bytes,
        clock: Clock,
        token: Token,
    ) -> None:
        self._database = database
        self._safe = safe
        self._member = member
        self._identity_seed = identity_seed
        self._clock = clock
        self._token = token
        self._seated: tuple[Witness, Envelope] | None = None

    def take(self, journal: Witness.Journal) -> tuple[Witness, Envelope]:
        """Return the witness and the card of its key, always the same; durable before that."""
        if self._seated is None:
            with self._database.reading() as reading:
                row = store.read_witness(reading)
            sealed, data = row or self._make()
            card = decode_envelope(data, "a witness card")
            name, seed = WitnessCard.read(card).name, self._safe.open("witness", sealed)
            self._seated = Witness(self._database, name, seed, self._clock, journal), card
        return self._seated

    def _make(self) -> tuple[bytes, bytes]:
        with self._database.transaction() as transaction:
            # Asked again under the write lock: two processes may ask at once.
            row = store.read_witness(transaction)
            if row is None:
                seed = self._token(signing.SEED_BYTES)
                card = WitnessCard(
                    self._safe.install,
                    self._member.id,
                    self._member.index,
                    signing.public_key(seed),
                    self._clock.now(),
                )
                sealed = self._safe.close("witness", seed, self._token)
                row = sealed, card.sign(self._identity_seed).encode()
                store.write_witness(transaction, *row)
        return row
