"""Options of `hqcsegment send` beside the server's names, for the command and for programs that start it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SendOptions(BaseModel):
    """How the connection to a DICOM server is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tls: bool = Field(default=False, title="TLS", description="encrypt the connection")
    tls_ca: Path | None = Field(
        default=None,
        title="TLS authorities",
        description="PEM file of certificates that the server's must be signed by (default: those of the system)",
    )
    tls_certificate: Path | None = Field(
        default=None,
        title="TLS certificate",
        description="PEM file with the own certificate, where the server asks for one",
    )
    tls_key: Path | None = Field(
        default=None,
        title="TLS key",
        description="PEM file with the certificate's key, where it is not in the same file",
    )
    timeout: float = Field(
        default=30.0, gt=0, allow_inf_nan=False, title="Time limit in s", description="seconds to wait for any answer"
    )

    @model_validator(mode="after")
    def _consistent(self) -> SendOptions:
        if not self.tls and (self.tls_ca or self.tls_certificate or self.tls_key):
            msg = "--tls-ca, --tls-certificate and --tls-key need --tls"
            raise ValueError(msg)
        return self
